//! An org's life from the command line: a real trust plane and control socket on loopback, machines that speak real TLS, and the
//! program as operators use it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "test code"
)]

mod enrol_kit;

use std::fs;

use enrol_kit::{Bench, Machine};
use serde_json::Value;
use slipway_trust::machine::{Answered, Stop};

/// The words that a machine's console shows, and no others, let it in; then it is suspended, resumed and revoked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_is_let_in_by_its_words_and_shut_out_again() {
    let bench = Bench::new().await;
    let machine = Machine::new(1);
    assert!(matches!(machine.ask(&bench, None).await, Err(Stop::Refused(_))), "no window is open");
    let said = bench.says(&["window", "open", "--for", "1h", "--machines", "3"]).await;
    assert!(said.contains("window"), "{said}");
    assert!(bench.says(&["window", "show"]).await.contains("0 of 3"));
    let mut waiting = machine.ask(&bench, None).await.unwrap();
    let words = waiting.words().to_owned();
    let list = bench.says(&["requests"]).await;
    assert!(list.contains(&words) && list.contains("disk-1, 16.00 GiB, empty"), "{list}");

    let mac = machine.mac.clone();
    let error = bench.refuses(&["approve", &mac]).await;
    assert!(error.contains("--words"), "{error}");
    let error = bench.refuses(&["approve", &mac, "--words", "one two three four five six", "--yes"]).await;
    assert!(error.contains("the words differ (0 of 6 are the same)"), "{error}");
    assert!(matches!(machine.poll(&bench, &mut waiting).await, Answered::Wait(_)), "nothing was signed");
    let approve = ["approve", &mac, "--words", &words, "--yes", "--name", "web-1", "--wipe", "--disk", "disk-1"];
    let said = bench.says(&approve).await;
    assert!(said.contains("WIPE disk-1") && said.contains("may fetch its grant"), "{said}");
    let granted = machine.granted(&bench, &mut waiting).await;
    assert_eq!((granted.grant().name.as_str(), granted.grant().plan.wipe), ("web-1", true));
    machine.boot(&bench, &granted).await.unwrap();

    let shown = bench.json(&["machine", "show", "web-1"]).await;
    assert_eq!(
        (&shown["identity"]["state"], &shown["identity"]["assurance"]),
        (&"confirmed".into(), &"approved".into())
    );
    assert!(bench.says(&["machines"]).await.contains("web-1  confirmed, approved"));
    // One after the other, within the same second: each is later than the one before it.
    for (verb, state) in [("suspend", "suspended"), ("resume", "active"), ("revoke", "revoked")] {
        bench.says(&["machine", verb, "web-1", "--reason", "a drill"]).await;
        let shown = bench.json(&["machine", "show", granted.grant().machine.to_string().as_str()]).await;
        assert_eq!(shown["identity"]["state"], state);
    }
    assert!(matches!(machine.boot(&bench, &granted).await, Err(Stop::Refused(_))));
    let error = bench.refuses(&["machine", "resume", "web-1", "--reason", "a drill"]).await;
    assert!(error.contains("revoked"), "{error}");

    let log = bench.says(&["audit", "show"]).await;
    for event in ["window-opened", "ticket-approved", "machine-granted", "machine-suspended", "machine-revoked"] {
        assert!(log.contains(event), "{event} in\n{log}");
    }
    assert!(log.contains("a drill"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_lets_one_machine_in_and_is_shown_once() {
    let bench = Bench::new().await;
    bench.says(&["window", "open"]).await;
    let made = bench.json(&["invite", "create", "--label", "rack 7", "--approval", "auto"]).await;
    let token: slipway_trust::invite::Token = made["token"].as_str().unwrap().parse().unwrap();
    let machine = Machine::new(1);
    let mut waiting = machine.ask(&bench, Some(&token)).await.unwrap();
    machine.granted(&bench, &mut waiting).await;
    assert!(matches!(Machine::new(2).ask(&bench, Some(&token)).await, Err(Stop::Refused(_))), "it is used up");
    let shown = bench.says(&["invite", "show", "rack 7"]).await;
    assert!(shown.contains("uses       1 of 1") && !shown.contains("inv1-"), "{shown}");
    let file = bench.path("token");
    bench.says(&["invite", "create", "--label", "spare", "--out", &file, "--uses", "5"]).await;
    assert!(fs::read_to_string(&file).unwrap().starts_with("inv1-"));
    assert!(bench.refuses(&["invite", "create", "--out", &file]).await.contains("never replaced"));
    bench.says(&["invite", "revoke", "spare"]).await;
    let list = bench.json(&["invite", "list"]).await;
    let state = |label: &str| {
        let invites = list["invites"].as_array().unwrap().iter();
        invites.filter(|invite| invite["label"] == label).map(|invite| invite["state"].clone()).collect::<Vec<_>>()
    };
    assert_eq!((state("rack 7"), state("spare")), (vec!["used".into()], vec!["revoked".into()]));
    assert_eq!(fs::read_dir(bench.path("data/org")).unwrap().count(), 5, "no token is kept at the server");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_act_upon_several_machines_is_settled_for_each_by_itself() {
    let bench = Bench::new().await;
    bench.says(&["window", "open"]).await;
    let made = bench.json(&["invite", "create", "--uses", "2", "--approval", "auto"]).await;
    let token: slipway_trust::invite::Token = made["token"].as_str().unwrap().parse().unwrap();
    let (one, two) = (Machine::new(1), Machine::new(2));
    for machine in [&one, &two] {
        let mut waiting = machine.ask(&bench, Some(&token)).await.unwrap();
        let granted = machine.granted(&bench, &mut waiting).await;
        machine.boot(&bench, &granted).await.unwrap();
    }
    let state = async |machine: &Machine| {
        bench.json(&["machine", "show", &machine.mac]).await["identity"]["state"].as_str().unwrap().to_owned()
    };
    let error = bench.refuses(&["machine", "suspend", &one.mac, "nobody", "--reason", "a drill"]).await;
    assert!(error.contains("nobody"), "{error}");
    assert_ne!(state(&one).await, "suspended", "a name that is wrong leaves all as they are");
    let told = bench.json(&["machine", "suspend", &one.mac, &two.mac, &one.mac, "--reason", "a drill"]).await;
    let events: Vec<&Value> = told.as_array().unwrap().iter().map(|told| &told["event"]).collect();
    assert_eq!(events, ["machine-suspended", "machine-suspended"], "each once: {told}");
    assert_eq!((state(&one).await.as_str(), state(&two).await.as_str()), ("suspended", "suspended"));
    bench.says(&["machine", "resume", &one.mac, "--reason", "a drill"]).await;
    let error = bench.refuses(&["machine", "resume", &one.mac, &two.mac, "--reason", "a drill"]).await;
    assert!(error.contains("`resume` is not for a machine that is active"), "{error}");
    assert_ne!(state(&two).await, "suspended", "the other one is resumed all the same");
    let sheet = bench.path("acts.sheet");
    let error = bench.refuses(&["machine", "retire", &one.mac, &two.mac, "--reason", "x", "--sheet", &sheet]).await;
    assert!(error.contains("one machine for each"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lets_machines_in_takes_two_admins_and_what_stops_something_takes_one() {
    let bench = Bench::new().await;
    let alice = bench.path("alice.key");
    bench.says(&["org", "key", "new", "admin", "--output", &alice]).await;
    bench.says(&["org", "admin", "add", &format!("{alice}.pub")]).await;
    let said = bench.says(&["org", "admin", "threshold", "2"]).await;
    assert!(said.contains("epoch 3 holds"), "the running server took it: {said}");
    assert_eq!(bench.json(&["org", "show"]).await["epoch"], 3, "and put it into its folder");
    assert!(bench.refuses(&["window", "open"]).await.contains("2 admins must sign this"));
    let sheet = bench.path("window.sheet");
    bench.says(&["window", "open", "--sheet", &sheet]).await;
    let error = bench.refuses(&["org", "submit", &sheet]).await;
    assert!(error.contains("1 of 2 needed admins have signed this"), "{error}");
    bench
        .refuses(&["org", "cosign", &sheet, "--yes", "--key", &bench.path(".config/slipway/org/acme/image.key")])
        .await;
    bench.says(&["org", "cosign", &sheet, "--yes", "--key", &alice]).await;
    bench.says(&["org", "submit", &sheet]).await;
    assert!(bench.refuses(&["org", "submit", &sheet]).await.contains("used before"), "a sheet is good for one time");
    let machine = Machine::new(1);
    let mut waiting = machine.ask(&bench, None).await.unwrap();
    let (mac, words) = (machine.mac.clone(), waiting.words().to_owned());
    let error = bench.refuses(&["approve", &mac, "--words", &words, "--yes"]).await;
    assert!(error.contains("2 admins must sign this"), "{error}");
    bench.says(&["deny", &mac]).await;
    assert!(matches!(machine.poll(&bench, &mut waiting).await, Answered::Refused(_)), "one admin's no is enough");
    bench.says(&["window", "close"]).await;
    assert!(bench.says(&["window", "show"]).await.contains("over"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tpms_are_added_to_their_list_and_taken_out() {
    let bench = Bench::new().await;
    let (one, two) = ("11".repeat(32), "22".repeat(32));
    let list = bench.path("list");
    fs::write(&list, format!("# rack 7\n{two} web-2 web\n")).unwrap();
    bench.says(&["ek-list", "add", &one, &list]).await;
    let shown = bench.says(&["ek-list", "show"]).await;
    assert!(shown.contains(&one) && shown.contains("web-2 in the role `web`"), "{shown}");
    bench.says(&["ek-list", "remove", "web-2"]).await;
    let shown = bench.json(&["ek-list", "show"]).await;
    assert_eq!(shown["entries"].as_array().unwrap().len(), 1);
    assert!(bench.refuses(&["ek-list", "remove", "web-2"]).await.contains("there is no TPM \"web-2\""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_log_is_verified_from_the_server_and_from_its_database() {
    let bench = Bench::new().await;
    bench.says(&["window", "open"]).await;
    let before = bench.json(&["audit", "verify"]).await;
    assert_eq!(before["whole"], true);
    let head = before["head"].as_str().unwrap().to_owned();
    bench.says(&["window", "close"]).await;
    let data = bench.stop().await;
    let after = data.json(&["audit", "verify", "--head", &head]);
    assert_eq!((&after["whole"], &after["earlier_head_at"]), (&Value::Bool(true), &before["entries"]));
    assert_eq!(after["entries"].as_u64(), before["entries"].as_u64().map(|entries| entries + 1));
    let error = data.refuses(&["audit", "verify", "--head", &"77".repeat(32)]);
    assert!(error.contains("cut off or rewritten"), "{error}");
    assert!(data.says(&["audit", "show", "--last", "1"]).contains("window-closed"));
}
