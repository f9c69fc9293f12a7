//! Any clients doing anything, against what must always hold: no address has two holders, and what was promised is on the disk.

use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

#[derive(Clone, Copy, Debug)]
enum Op {
    Request(u8, u32),
    Renew(u8, u32),
    Release(u8, u32),
    Decline(u8, u32),
    Wait(u64),
    Fail(bool),
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    let client = || (1..10u8, 1..3u32);
    prop_oneof![
        6 => client().prop_map(|(machine, iaid)| Op::Request(machine, iaid)),
        3 => client().prop_map(|(machine, iaid)| Op::Renew(machine, iaid)),
        2 => client().prop_map(|(machine, iaid)| Op::Release(machine, iaid)),
        1 => client().prop_map(|(machine, iaid)| Op::Decline(machine, iaid)),
        2 => (1..2000u64).prop_map(Op::Wait),
        1 => any::<bool>().prop_map(Op::Fail),
        1 => Just(Op::Restart),
    ]
}

/// What each client believes: its address, and until when.
type Belief = HashMap<(u8, u32), (Ipv6Addr, Timestamp)>;

#[derive(Default)]
struct Disk(HashMap<Ipv6Addr, Record>);

impl Disk {
    fn take(&mut self, writes: &[Write]) {
        for write in writes {
            match write {
                Write::Put(record) => _ = self.0.insert(record.ip, record.clone()),
                Write::Drop(ip) => _ = self.0.remove(ip),
            }
        }
    }
}

fn of(kind: MessageType, machine: u8, iaid: u32, ip: Option<Ipv6Addr>) -> Message {
    let mut message = Message::new(kind, 1);
    message.options.push(OptionCode::CLIENT_ID, duid(machine).as_bytes());
    message.options.push(OptionCode::SERVER_ID, server_id().as_bytes());
    let mut ia = Ia::new(IaKind::NonTemporary, iaid);
    if let Some(ip) = ip {
        ia.push(&IaAddr { ip, preferred: 0, valid: 0 });
    }
    message.options.push_ia(&ia);
    message
}

fn step(net: &mut Net, disk: &mut Disk, belief: &mut Belief, op: Op) {
    let (kind, machine, iaid) = match op {
        Op::Wait(seconds) => return net.wait(seconds),
        Op::Fail(fails) => return net.disk_works = !fails,
        Op::Restart => {
            let now = net.now;
            *net = Net { now, disk_works: net.disk_works, ..Net::new() };
            return net.desk.book_mut().restore(disk.0.values().cloned(), now);
        }
        Op::Request(machine, iaid) => (MessageType::REQUEST, machine, iaid),
        Op::Renew(machine, iaid) => (MessageType::RENEW, machine, iaid),
        Op::Release(machine, iaid) => (MessageType::RELEASE, machine, iaid),
        Op::Decline(machine, iaid) => (MessageType::DECLINE, machine, iaid),
    };
    let mine = belief.get(&(machine, iaid)).map(|(ip, _)| *ip);
    // A client that gives an address back stops using it, whether it is heard or not.
    if matches!(kind, MessageType::RELEASE | MessageType::DECLINE) {
        belief.remove(&(machine, iaid));
    }
    let seen = net.ask(machine, &of(kind, machine, iaid, mine));
    if net.disk_works {
        disk.take(&seen.writes);
    }
    if seen.packet.is_some() && matches!(kind, MessageType::REQUEST | MessageType::RENEW) {
        match seen.ips().first() {
            Some(ip) => _ = belief.insert((machine, iaid), (*ip, net.now.plus(Duration::from_secs(3600)))),
            None => _ = belief.remove(&(machine, iaid)),
        }
    }
}

proptest! {
    #[test]
    fn no_address_has_two_holders_whatever_happens(ops in prop::collection::vec(op(), 1..120)) {
        let (mut net, mut disk, mut belief) = (Net::new(), Disk::default(), Belief::new());
        for op in ops {
            step(&mut net, &mut disk, &mut belief, op);
            let mut held: HashMap<Ipv6Addr, (u8, u32)> = HashMap::new();
            for (client, (ip, until)) in belief.iter().filter(|(_, (_, until))| *until > net.now) {
                prop_assert!(subnet().holds(*ip));
                prop_assert_eq!(held.insert(*ip, *client), None, "{} twice", ip);
                let durable = disk.0.get(ip);
                prop_assert!(durable.is_some_and(|record| record.until >= *until), "{ip} of {client:?}: {durable:?}");
            }
        }
    }
}
