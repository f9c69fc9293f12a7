//! Where a file's bytes come from.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Duration;

use memmap2::{Advice, Mmap};
use slipway_engine::catalog::{Digest, FileRef};
use slipway_engine::tftp::Block;
use slipway_store::Blobs;

/// A mapping that nobody has used for so long is undone.
const IDLE: Duration = Duration::from_secs(30);

/// An open file.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// A stored file: it never changes, so it is mapped, once for all.
    Mapped(Arc<Mmap>),
    /// A file of the exported folder: it may change, even shrink, so it is read.
    Read(Arc<File>),
    /// A text made for this request.
    Text(Arc<[u8]>),
}

impl Content {
    /// Gets hold of these bytes.
    ///
    /// # Errors
    /// The file system's; `UnexpectedEof` where a file has shrunk.
    pub(super) fn piece(&self, bytes: Range<u64>) -> io::Result<Piece> {
        let held = match self {
            Self::Mapped(map) => Held::Mapped(Arc::clone(map)),
            Self::Text(text) => Held::Text(Arc::clone(text)),
            Self::Read(file) => {
                let len = usize::try_from(bytes.end.saturating_sub(bytes.start)).map_err(io::Error::other)?;
                let mut buffer = vec![0; len];
                file.read_exact_at(&mut buffer, bytes.start)?;
                return Ok(Piece { held: Held::Buffer(buffer), from: bytes.start });
            }
        };
        Ok(Piece { held, from: 0 })
    }
}

/// Bytes of a file, in memory until they are sent.
#[derive(Debug)]
pub(super) struct Piece {
    held: Held,
    /// Where in the file the held bytes begin.
    from: u64,
}

#[derive(Debug)]
enum Held {
    Mapped(Arc<Mmap>),
    Text(Arc<[u8]>),
    Buffer(Vec<u8>),
}

impl Piece {
    /// The bytes of a block that lies in this piece.
    pub(super) fn block(&self, block: &Block) -> &[u8] {
        let held: &[u8] = match &self.held {
            Held::Mapped(map) => map,
            Held::Text(text) => text,
            Held::Buffer(buffer) => buffer,
        };
        let start = usize::try_from(block.at.saturating_sub(self.from)).unwrap_or(usize::MAX);
        let end = start.saturating_add(block.len);
        held.get(start..end).unwrap_or_default()
    }
}

/// The stored files that are mapped now.
#[derive(Debug, Default)]
pub(super) struct Cache {
    maps: HashMap<Digest, (Arc<Mmap>, Duration)>,
}

impl Cache {
    /// The mapping of a stored file.
    ///
    /// # Errors
    /// The file system's, and `InvalidData` where the stored file is not as long as the catalog says.
    pub(super) fn open(&mut self, now: Duration, blobs: &Blobs, file: &FileRef) -> io::Result<Content> {
        self.forget(now);
        if let Some((map, used)) = self.maps.get_mut(&file.digest) {
            *used = now;
            return Ok(Content::Mapped(Arc::clone(map)));
        }
        let opened = blobs.open(&file.digest)?;
        if opened.metadata()?.len() != file.size {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its length is not that of the catalog"));
        }
        let map = Arc::new(map(&opened)?);
        // Only a hint: read from disk now, before the client's first ACK.
        let _ = map.advise(Advice::WillNeed);
        self.maps.insert(file.digest, (Arc::clone(&map), now));
        Ok(Content::Mapped(map))
    }

    /// Undoes mappings that no transfer uses any more.
    fn forget(&mut self, now: Duration) {
        self.maps.retain(|_, (map, used)| Arc::strong_count(map) > 1 || now < *used + IDLE);
    }
}

fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: a stored blob stands under its digest and is never written again; it is only unlinked, which keeps a mapping whole. If
    // somebody truncates it all the same, only the kernel reads these bytes (in sendmsg), which then fails with EFAULT.
    unsafe { Mmap::map(file) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn stored(blobs: &Blobs, digest: Digest, bytes: &[u8]) -> FileRef {
        let path = blobs.path(&digest);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        FileRef { digest, size: u64::try_from(bytes.len()).unwrap() }
    }

    fn block(at: u64, len: usize) -> Block {
        Block { number: 0, at, len }
    }

    #[test]
    fn a_blob_is_mapped_once_and_forgotten_when_idle() {
        let data = tempfile::tempdir().unwrap();
        let blobs = Blobs::under(data.path());
        let (file, empty) = (stored(&blobs, Digest([1; 32]), b"hello"), stored(&blobs, Digest([2; 32]), b""));
        let mut cache = Cache::default();
        let at = Duration::from_secs;
        let first = cache.open(at(0), &blobs, &file).unwrap();
        let Content::Mapped(map) = &first else { panic!("blobs are mapped") };
        cache.open(at(1), &blobs, &file).unwrap();
        assert_eq!(Arc::strong_count(map), 2, "one mapping, held by us and the cache");
        assert_eq!(first.piece(0..5).unwrap().block(&block(1, 4)), b"ello");
        let empty = cache.open(at(100), &blobs, &empty).unwrap();
        assert_eq!(empty.piece(0..0).unwrap().block(&block(0, 0)), b"");
        assert_eq!(cache.maps.len(), 2, "in use, so kept");
        drop((first, empty));
        cache.open(at(200), &blobs, &file).unwrap();
        assert_eq!(cache.maps.len(), 1);
    }

    #[test]
    fn a_missing_or_wrong_blob_and_a_shrunk_file_are_errors() {
        let data = tempfile::tempdir().unwrap();
        let blobs = Blobs::under(data.path());
        let file = stored(&blobs, Digest([1; 32]), b"hello");
        let kind = |file: FileRef| Cache::default().open(Duration::ZERO, &blobs, &file).unwrap_err().kind();
        assert_eq!(kind(FileRef { size: 6, ..file }), io::ErrorKind::InvalidData);
        assert_eq!(kind(FileRef { digest: Digest([9; 32]), ..file }), io::ErrorKind::NotFound);
        let content = Content::Read(Arc::new(blobs.open(&file.digest).unwrap()));
        assert_eq!(content.piece(1..3).unwrap().block(&block(2, 1)), b"l");
        assert_eq!(content.piece(3..6).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
