use super::*;
use crate::rules::Boot;

fn mac(n: u16) -> MacAddr {
    let [high, low] = n.to_be_bytes();
    MacAddr([2, 0, 0, 0, high, low])
}

fn wanting(changed: u64) -> Memory {
    Memory::NOTHING.after(Change::Boot { aim: Aim::Local, once: false }, Timestamp(changed))
}

#[test]
fn a_machine_that_tells_another_uuid_is_another_machine() {
    let (known, other) = (Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff), Uuid::from_u128(9));
    let swapped = Uuid::from_u128(0x3322_1100_5544_7766_8899_aabb_ccdd_eeff);
    let mut memories = Memories::default();
    memories.put(mac(1), Memory { uuid: Some(known), ..wanting(1) });
    memories.put(mac(2), wanting(1));
    for (who, told, is_it) in [
        (1, None, true),
        (1, Some(known), true),
        // Some firmware tells it in the other order of bytes.
        (1, Some(swapped), true),
        (1, Some(other), false),
        (2, Some(other), true),
        (3, None, false),
    ] {
        assert_eq!(!memories.of(mac(who), told).is_nothing(), is_it, "{who} {told:?}");
    }
}

#[test]
fn what_is_taken_back_or_forgotten_is_not_kept() {
    let mut memories = Memories::default();
    memories.put(mac(1), wanting(1));
    for change in [Change::Rules, Change::Forget] {
        memories.put(mac(1), wanting(1).after(change, Timestamp(2)));
        assert!(memories.get(mac(1)).is_none());
    }
}

#[test]
fn memory_is_bounded_and_the_oldest_goes_first() {
    let mut memories = Memories::default();
    for n in 0..4096 {
        assert_eq!(memories.put(mac(n), wanting(u64::from(n) + 1)), None);
    }
    assert_eq!(memories.put(mac(5000), wanting(1)), Some(mac(0)));
    assert_eq!(memories.put(mac(5001), wanting(1)), Some(mac(5000)));
    assert_eq!(memories.iter().count(), Memories::MOST);
}

#[test]
fn an_intent_says_in_words_what_it_is() {
    let boot = |version: Option<&str>| {
        Aim::Boot(Boot {
            image: "debian".into(),
            version: version.map(Into::into),
            path: Default::default(),
            append: None,
        })
    };
    let words = [boot(None), boot(Some("12.1")), Aim::Menu, Aim::Local].map(|aim| aim.to_string());
    assert_eq!(words, ["debian", "debian@12.1", "the menu", "the local disk"]);
}

#[test]
fn a_pass_is_good_for_one_machine_one_installer_and_one_word() {
    let secret = Secret([7; 32]);
    let mut memories = Memories::with_secret(secret);
    let pass = |memories: &Memories, n, image: &str| memories.pass(mac(n), image).unwrap().to_string();
    let first = pass(&memories, 1, "debian");
    assert_eq!(first.len(), 32);
    assert!(memories.pass(mac(1), "debian").unwrap().is(&first));
    for text in ["", &first[1..], &format!("{first}0"), &first.replace(char::is_alphabetic, "0"), &first.to_uppercase()]
    {
        assert!(!memories.pass(mac(1), "debian").unwrap().is(text) || text == first, "{text}");
    }
    let done = Memory::NOTHING.after(Change::Done { image: "debian".into() }, Timestamp(1));
    memories.put(mac(1), done.after(Change::Release, Timestamp(2)));
    let others = [pass(&memories, 1, "debian"), pass(&memories, 2, "debian"), pass(&memories, 2, "debian2")];
    assert!(!others.contains(&first), "{first} {others:?}");
    assert!(Memories::default().pass(mac(1), "debian").is_none(), "no secret, no pass");
    assert_eq!(format!("{secret:?}"), "Secret");
}
