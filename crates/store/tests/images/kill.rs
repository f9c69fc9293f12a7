//! `kill -9` at any moment: this test program runs itself as the process that dies.

use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs, thread};

use slipway_store::images::{Images, catalog};

use crate::{add, files_in};

const DATA: &str = "SLIPWAY_TEST_DATA";

/// The process that is killed: adds, removes and collects until then.
#[test]
#[ignore = "run by `a_killed_process_leaves_only_whole_images`"]
fn victim() {
    let Ok(data) = env::var(DATA) else { return };
    let images = Images::under(data.as_ref());
    for round in 0_u32.. {
        let content = round.to_le_bytes().repeat(50_000);
        add(&images, &format!("image{}", round % 5), None, &content).unwrap();
        if round % 7 == 6 {
            images.remove("image1", None, true).unwrap();
            images.collect_garbage().unwrap();
        }
    }
}

#[test]
fn a_killed_process_leaves_only_whole_images() {
    let data = tempfile::tempdir().unwrap();
    let images = Images::under(data.path());
    for round in 0..12_u64 {
        let mut victim = Command::new(env::current_exe().unwrap())
            .args(["kill::victim", "--exact", "--ignored"])
            .env(DATA, data.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Any time will do; odd ones hit different moments.
        thread::sleep(Duration::from_millis(20 + round * 13));
        victim.kill().unwrap();
        victim.wait().unwrap();
        let (_, faults) = catalog(data.path()).unwrap();
        assert!(faults.is_empty(), "round {round}: {faults:?}");
        let verified = images.verify(&mut |_| {}).unwrap();
        assert!(verified.faults.is_empty(), "round {round}: {:?}", verified.faults);
    }
    let (there, _) = catalog(data.path()).unwrap();
    assert!(!there.images.is_empty(), "the victim did something");
    images.collect_garbage().unwrap();
    assert_eq!(files_in(&data.path().join("blobs/tmp")), 0);
    let whole = images.verify(&mut |_| {}).unwrap();
    assert!(whole.faults.is_empty() && whole.files as usize == fs_blobs(&data), "{whole:?}");
}

fn fs_blobs(data: &tempfile::TempDir) -> usize {
    assert!(fs::metadata(data.path().join("blobs/sha256")).unwrap().is_dir());
    files_in(&data.path().join("blobs/sha256"))
}
