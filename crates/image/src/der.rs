//! DER (X.690), as much as the signatures of PE images need: definite lengths, tags of one byte.

/// `SEQUENCE`.
pub const SEQUENCE: u8 = 0x30;
/// `SET` and `SET OF`.
pub const SET: u8 = 0x31;
/// `INTEGER`.
pub const INTEGER: u8 = 0x02;
/// `OCTET STRING`.
pub const OCTET_STRING: u8 = 0x04;
/// `OBJECT IDENTIFIER`.
pub const OID: u8 = 0x06;
/// `[0]`, constructed.
pub const CONTEXT_0: u8 = 0xa0;

/// One element: tag and content.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Element<'a> {
    /// Its tag.
    pub tag: u8,
    /// What is in it.
    pub content: &'a [u8],
    /// The whole of it, with tag and length.
    pub whole: &'a [u8],
}

impl<'a> Element<'a> {
    /// The element that these bytes begin with, and the bytes behind it. None if they begin with no whole element.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (tag, first) = (*bytes.first()?, *bytes.get(1)?);
        let (start, length) = match first {
            0..0x80 => (2_usize, usize::from(first)),
            0x80 => return None,
            0x81..=0x84 => {
                let end = 2_usize.checked_add(usize::from(first & 0x7f))?;
                let length = bytes
                    .get(2..end)?
                    .iter()
                    .try_fold(0_usize, |sum, byte| sum.checked_mul(256)?.checked_add(usize::from(*byte)))?;
                (end, length)
            }
            _ => return None,
        };
        // A tag of several bytes is none of ours.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let end = start.checked_add(length)?;
        let element = Self { tag, content: bytes.get(start..end)?, whole: bytes.get(..end)? };
        Some((element, bytes.get(end..)?))
    }

    /// The same, if it has this tag.
    #[must_use]
    pub fn expect(bytes: &'a [u8], tag: u8) -> Option<(Self, &'a [u8])> {
        Self::read(bytes).filter(|(element, _)| element.tag == tag)
    }

    /// The elements in it, up to the first that is not whole.
    pub fn children(self) -> impl Iterator<Item = Self> {
        let mut rest = self.content;
        core::iter::from_fn(move || {
            let (element, behind) = Self::read(rest)?;
            rest = behind;
            Some(element)
        })
    }
}

/// An element of these parts, one behind the other.
#[must_use]
pub fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = vec![tag];
    let length = content.len().to_be_bytes();
    let significant = length.iter().skip_while(|byte| **byte == 0).count();
    match (content.len(), u8::try_from(significant)) {
        (0..0x80, _) | (_, Err(_)) => out.extend(length.last()),
        (_, Ok(count)) => {
            out.push(0x80 | count);
            out.extend(length.iter().skip(length.len().saturating_sub(significant)));
        }
    }
    out.extend(content);
    out
}

/// A `SET OF`, whose elements DER has in the order of their bytes.
#[must_use]
pub fn set_of(tag: u8, mut elements: Vec<Vec<u8>>) -> Vec<u8> {
    elements.sort();
    let parts: Vec<&[u8]> = elements.iter().map(Vec::as_slice).collect();
    element(tag, &parts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_have_their_short_and_long_forms() {
        for (length, head) in [
            (0, &[4_u8, 0][..]),
            (127, &[4, 0x7f]),
            (128, &[4, 0x81, 0x80]),
            (255, &[4, 0x81, 0xff]),
            (256, &[4, 0x82, 1, 0]),
            (70_000, &[4, 0x83, 1, 0x11, 0x70]),
        ] {
            let bytes = element(OCTET_STRING, &[&vec![7; length]]);
            assert_eq!(&bytes[..head.len()], head);
            let (read, rest) = Element::read(&bytes).unwrap();
            assert_eq!((read.content.len(), read.whole.len(), rest.len()), (length, bytes.len(), 0));
        }
    }

    #[test]
    fn what_is_not_der_is_not_read() {
        for bytes in
            [&[][..], &[4], &[4, 1], &[4, 0x80, 0, 0], &[4, 0x85, 0, 0, 0, 0, 0], &[4, 0x81], &[0x1f, 0x81, 1, 0]]
        {
            assert_eq!(Element::read(bytes), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_reading_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Some((element, rest)) = Element::read(&bytes) {
                prop_assert_eq!(element.whole.len() + rest.len(), bytes.len());
                prop_assert!(element.children().count() <= bytes.len());
            }
        }
    }
}
