//! Any sequence of adding, removing, collecting and crashing, beside a model that is a map.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use slipway_store::StoreError;
use slipway_store::images::{Added, Images};

use crate::{add, files_in};

#[derive(Clone, Debug)]
enum Op {
    Add {
        name: u8,
        version: u8,
        content: u8,
    },
    Remove {
        name: u8,
        version: u8,
    },
    Collect,
    /// The process dies while a blob is being written.
    DieWriting,
    /// The process dies when the blob is stored and the record is not.
    DieBeforeRecord {
        content: u8,
    },
    /// The process dies while the record is being written.
    DieRecording {
        name: u8,
    },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..3_u8, 0..3_u8, 0..4_u8).prop_map(|(name, version, content)| Op::Add { name, version, content }),
        3 => (0..3_u8, 0..3_u8).prop_map(|(name, version)| Op::Remove { name, version }),
        2 => Just(Op::Collect),
        1 => Just(Op::DieWriting),
        1 => (0..4_u8).prop_map(|content| Op::DieBeforeRecord { content }),
        1 => (0..3_u8).prop_map(|name| Op::DieRecording { name }),
    ]
}

type Model = BTreeMap<(String, String), u8>;

fn apply(data: &Path, op: &Op, model: &mut Model) {
    let images = Images::under(data);
    let names = |name: u8, version: u8| (format!("image{name}"), version.to_string());
    match *op {
        Op::Add { name, version, content } => {
            let key = names(name, version);
            let result = add(&images, &key.0, Some(&key.1), &[content; 100]);
            match (model.get(&key), result) {
                (None, Ok(Added::New(_))) => {
                    model.insert(key, content);
                }
                (Some(there), Ok(Added::Unchanged(_))) => assert_eq!(*there, content),
                (Some(there), Err(StoreError::Conflict { .. })) => assert_ne!(*there, content),
                (there, result) => panic!("{there:?} gave {result:?}"),
            }
        }
        Op::Remove { name, version } => {
            let key = names(name, version);
            let removed = images.remove(&key.0, Some(&key.1), false);
            assert_eq!(removed.is_ok(), model.remove(&key).is_some(), "{removed:?}");
        }
        Op::Collect => {
            images.collect_garbage().unwrap();
            let contents: std::collections::BTreeSet<u8> = model.values().copied().collect();
            assert_eq!(files_in(&data.join("blobs")), contents.len(), "neither too much nor too little");
        }
        Op::DieWriting => {
            fs::create_dir_all(data.join("blobs/tmp")).unwrap();
            fs::write(data.join("blobs/tmp/.tmpHALF"), "half a bl").unwrap();
        }
        Op::DieBeforeRecord { content } => {
            images.writer().unwrap().put(&[content; 100][..], &mut |_| {}).unwrap();
        }
        Op::DieRecording { name } => {
            let folder = data.join("images").join(format!("image{name}"));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(".new-HALF"), "{\"format\": 1, ").unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_operations_and_crashes_loses_what_is_recorded(ops in proptest::collection::vec(op(), 1..24)) {
        let data = tempfile::tempdir().unwrap();
        let mut model = Model::new();
        for op in &ops {
            apply(data.path(), op, &mut model);
            let images = Images::under(data.path());
            let listing = images.list().unwrap();
            prop_assert!(listing.faults.is_empty(), "{:?}", listing.faults);
            let there: Vec<(String, String)> =
                listing.images.iter().map(|stored| (stored.image.name.clone(), stored.image.version.clone())).collect();
            prop_assert_eq!(there.len(), model.len());
            prop_assert!(there.iter().all(|key| model.contains_key(key)));
            let verified = images.verify(&mut |_| {}).unwrap();
            prop_assert!(verified.faults.is_empty(), "{:?}", verified.faults);
        }
    }
}
