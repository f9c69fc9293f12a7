use std::fs;
use std::os::unix::fs::symlink;

use slipway_store::StoreError;
use slipway_store::images::walk;

#[test]
fn a_tree_is_served_under_the_names_it_has_links_inside_it_included() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    fs::create_dir_all(root.join("installer/amd64")).unwrap();
    fs::write(root.join("installer/amd64/linux"), "kernel").unwrap();
    fs::write(root.join(".treeinfo"), "x").unwrap();
    symlink("installer/amd64/linux", root.join("linux")).unwrap();
    symlink("installer/amd64", root.join("boot")).unwrap();
    symlink("../..", root.join("installer/amd64/round")).unwrap();
    let files = walk(root).unwrap();
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, [".treeinfo", "boot/linux", "installer/amd64/linux", "linux"]);
    for (_, path) in files.iter().filter(|(name, _)| name.ends_with("linux")) {
        assert_eq!(fs::read_to_string(path).unwrap(), "kernel");
    }
}

#[test]
fn what_leads_out_of_a_tree_is_refused_by_name() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "x").unwrap();
    for target in [outside.path().join("secret"), outside.path().to_owned(), "/nonexistent".into()] {
        let root = tempfile::tempdir().unwrap();
        symlink(&target, root.path().join("link")).unwrap();
        let error = walk(root.path()).unwrap_err();
        assert!(matches!(&error, StoreError::Tree { path, .. } if path.ends_with("link")), "{error}");
    }
}

#[test]
fn a_socket_in_a_tree_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.path().join("socket")).unwrap();
    let error = walk(root.path()).unwrap_err().to_string();
    assert!(error.ends_with("socket is neither a file nor a folder: remove it"), "{error}");
}
