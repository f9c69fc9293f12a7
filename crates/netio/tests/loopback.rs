//! The sockets on the loopback interface, both families.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::as_conversions, reason = "test code")]

use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use slipway_netio::{Batch, Bind, Source, Train, UdpSocket, Waker, wait};

const SECOND: Option<Duration> = Some(Duration::from_secs(1));
const LOOPBACKS: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

fn bound(ip: IpAddr) -> UdpSocket {
    UdpSocket::bind(&Bind::to((ip, 0).into())).unwrap()
}

fn all(socket: &UdpSocket, count: usize, size: usize) -> Vec<Vec<u8>> {
    let waker = Waker::new().unwrap();
    let mut batch = Batch::new(64, size);
    let mut got = Vec::new();
    while got.len() < count && wait(&[socket], &waker, SECOND).unwrap().has(0) {
        socket.receive(&mut batch).unwrap();
        got.extend(batch.iter().map(|datagram| datagram.data.to_vec()));
    }
    got
}

#[test]
fn a_datagram_tells_where_it_came_from_and_where_it_came_in() {
    for ip in LOOPBACKS {
        let any: IpAddr = if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let (server, client) = (bound(any), bound(ip));
        client.send((ip, server.local_addr().port()).into(), Source::default(), b"hello").unwrap();
        assert!(wait(&[&server], &Waker::new().unwrap(), SECOND).unwrap().has(0));
        let mut batch = Batch::new(4, 2048);
        assert_eq!(server.receive(&mut batch).unwrap(), 1);
        let hello = batch.iter().next().unwrap();
        assert_eq!((hello.from, hello.to, hello.local), (client.local_addr(), ip, ip));
        assert_eq!((hello.data, hello.truncated), (b"hello".as_slice(), false));
        assert_ne!(hello.ifindex, 0);
    }
}

#[test]
fn an_answer_leaves_from_the_address_that_was_asked() {
    let asked = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 53));
    let (server, client) = (bound(Ipv4Addr::UNSPECIFIED.into()), bound(LOOPBACKS[0]));
    client.send((asked, server.local_addr().port()).into(), Source::default(), b"?").unwrap();
    let mut batch = Batch::new(4, 64);
    assert!(wait(&[&server], &Waker::new().unwrap(), SECOND).unwrap().has(0));
    server.receive(&mut batch).unwrap();
    let question = batch.iter().next().unwrap();
    let from = Source { ip: Some(question.local), ifindex: question.ifindex };
    server.send(question.from, from, b"!").unwrap();
    assert!(wait(&[&client], &Waker::new().unwrap(), SECOND).unwrap().has(0));
    client.receive(&mut batch).unwrap();
    assert_eq!(batch.iter().next().unwrap().from, SocketAddr::new(asked, server.local_addr().port()));
}

#[test]
fn a_datagram_longer_than_the_room_is_marked() {
    let (server, client) = (bound(LOOPBACKS[0]), bound(LOOPBACKS[0]));
    client.send(server.local_addr(), Source::default(), &[7; 100]).unwrap();
    assert!(wait(&[&server], &Waker::new().unwrap(), SECOND).unwrap().has(0));
    let mut batch = Batch::new(4, 64);
    server.receive(&mut batch).unwrap();
    let long = batch.iter().next().unwrap();
    assert_eq!((long.data.len(), long.truncated), (64, true));
}

#[test]
fn trains_arrive_as_single_datagrams_in_order_whatever_their_length() {
    for ip in LOOPBACKS {
        for (count, body, tail) in [(1, 512, 512), (2, 512, 0), (32, 1468, 1468), (75, 1468, 3), (20, 8192, 1)] {
            let (server, client) = (bound(ip), bound(ip));
            let heads: Vec<[u8; 4]> = (0..count as u32).map(u32::to_be_bytes).collect();
            let content = vec![0xa5; body];
            let datagrams = heads.iter().enumerate().map(|(at, head)| {
                let len = if at + 1 == count { tail } else { body };
                [IoSlice::new(head), IoSlice::new(&content[..len])]
            });
            let datagrams: Vec<_> = datagrams.collect();
            let train = Train { to: server.local_addr(), from: Source::default(), datagrams: &datagrams };
            client.send_trains(&[train, train], |train, error| panic!("{train}: {error}"));
            let got = all(&server, 2 * count, 9000);
            assert_eq!(got.len(), 2 * count, "{count} x {body} over {ip}");
            for (at, datagram) in got.iter().enumerate() {
                let want = if at % count + 1 == count { tail } else { body };
                assert_eq!((&datagram[..4], datagram.len()), (&heads[at % count][..], 4 + want));
            }
        }
    }
}

#[test]
fn a_train_that_cannot_be_sent_does_not_keep_back_the_next() {
    let (server, client) = (bound(LOOPBACKS[0]), bound(LOOPBACKS[0]));
    let huge = vec![0; 70_000];
    let bad = [[IoSlice::new(b"head"), IoSlice::new(&huge)]];
    let good = [[IoSlice::new(b"head"), IoSlice::new(b"body")]];
    let train = |datagrams| Train { to: server.local_addr(), from: Source::default(), datagrams };
    let mut failures = Vec::new();
    client.send_trains(&[train(&bad), train(&good)], |train, error| failures.push((train, error.raw_os_error())));
    assert_eq!(failures, [(0, Some(90))], "EMSGSIZE");
    assert_eq!(all(&server, 1, 64), [b"headbody"]);
}

#[test]
fn waiting_ends_by_packet_by_call_and_by_time() {
    let (server, client) = (bound(LOOPBACKS[0]), bound(LOOPBACKS[0]));
    let waker = Waker::new().unwrap();
    let ready = wait(&[&client, &server], &waker, Some(Duration::ZERO)).unwrap();
    assert!(!ready.woken && !ready.has(0) && !ready.has(1));
    waker.clone().wake();
    assert!(wait(&[&client, &server], &waker, None).unwrap().woken);
    assert!(!wait(&[&client, &server], &waker, Some(Duration::ZERO)).unwrap().woken, "a call counts once");
    client.send(server.local_addr(), Source::default(), b"x").unwrap();
    let ready = wait(&[&client, &server], &waker, None).unwrap();
    assert!(!ready.woken && !ready.has(0) && ready.has(1));
}

#[test]
fn a_socket_where_packets_are_due_is_waited_for_by_itself_but_not_for_long() {
    let (server, client) = (bound(LOOPBACKS[0]), bound(LOOPBACKS[0]));
    let mut batch = Batch::new(4, 64);
    let started = Instant::now();
    assert_eq!(server.receive_soon(&mut batch).unwrap(), 0);
    assert!(started.elapsed() < Duration::from_secs(1));
    for _ in 0..3 {
        client.send(server.local_addr(), Source::default(), b"x").unwrap();
    }
    assert_eq!(server.receive_soon(&mut batch).unwrap(), 3);
}

#[test]
fn a_thread_that_waits_for_ever_is_woken() {
    let waker = Waker::new().unwrap();
    let caller = waker.clone();
    let started = Instant::now();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| wait(&[], &waker, None).unwrap().woken);
        caller.wake();
        assert!(waiting.join().unwrap());
    });
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn both_families_share_a_port_and_a_taken_port_is_an_error_that_names_it() {
    let v4 = bound(Ipv4Addr::UNSPECIFIED.into());
    let port = v4.local_addr().port();
    let taken = UdpSocket::bind(&Bind::to((Ipv4Addr::UNSPECIFIED, port).into())).unwrap_err();
    assert_eq!(taken.to_string(), format!("cannot bind UDP 0.0.0.0:{port}"));
    // Another process may hold the IPv6 port by chance, so only the success of some port is asked for.
    let shared = (0..16).any(|_| {
        let v4 = bound(Ipv4Addr::UNSPECIFIED.into());
        UdpSocket::bind(&Bind::to((Ipv6Addr::UNSPECIFIED, v4.local_addr().port()).into())).is_ok()
    });
    assert!(shared);
}
