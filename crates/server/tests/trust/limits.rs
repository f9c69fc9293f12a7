//! What the plane does not put up with.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{HandshakeKind, ProtocolVersion};
use slipway_server::trust::Limits;
use slipway_trust::OrgId;
use slipway_trust::Refusal;
use slipway_trust::desk::Kind;
use slipway_trust::frames::{Intent, LARGEST, Refused, Reply};
use slipway_trust::machine::{Answered, Start};
use slipway_trust::node::DoorLimits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::kit::{Connection, Machine, Org, now, tls};

fn why(reply: &[u8]) -> Option<Refusal> {
    match slipway_trust::decode(reply).unwrap() {
        Reply::Refused(Refused { why, .. }) => Some(why),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_eleventh_hello_of_an_address_in_a_minute_is_refused_and_a_minute_later_it_is_not() {
    let org = Org::with(Limits::default(), DoorLimits::default()).await;
    org.open_window(10);
    let start = Machine::new(1).start(&org, Intent::Enrol, None);
    for n in 1..=12 {
        let mut connection = Connection::open(&org).await;
        let refused = why(&connection.frame(&start.hello().1).await);
        assert_eq!(refused, (n > 10).then_some(Refusal::TooMany), "hello {n}");
    }
    org.clock.turn(now().plus(61));
    assert_eq!(why(&Connection::open(&org).await.frame(&start.hello().1).await), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_frame_is_answered_in_words_and_the_connection_ends() {
    let org = Org::new().await;
    let big = format!("POST /v1/frame HTTP/1.1\r\nContent-Length: {}\r\n\r\n", LARGEST + 1);
    for (request, status, word) in [
        (big.as_str(), 413, "256 KiB"),
        ("GET /v1/frame HTTP/1.1\r\n\r\n", 405, "posted"),
        ("DELETE /healthz HTTP/1.1\r\n\r\n", 405, "read"),
        ("GET / HTTP/1.1\r\n\r\n", 404, "nothing here"),
        ("POST /v1/frame HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 501, "Transfer-Encoding"),
        ("hello\r\n\r\n", 400, "not HTTP"),
    ] {
        let mut connection = Connection::open(&org).await;
        connection.send(request.as_bytes()).await;
        let (code, body) = connection.response().await.unwrap();
        let body = String::from_utf8(body).unwrap();
        assert_eq!(code, status, "{request:?}");
        assert!(body.contains(word), "{request:?}: {body}");
        assert_eq!(connection.response().await, None, "{request:?}");
    }
    let mut connection = Connection::open(&org).await;
    for _ in 0..2 {
        connection.send(b"GET /healthz HTTP/1.1\r\n\r\n").await;
        assert_eq!(connection.response().await.unwrap().0, 200);
    }
    // What is posted and is no frame is refused as every frame is; so is one that is too large for its kind.
    for body in [b"nonsense".to_vec(), vec![0; LARGEST]] {
        let mut connection = Connection::open(&org).await;
        assert_eq!(why(&connection.frame(&body).await), Some(Refusal::Malformed));
        assert_eq!(connection.response().await, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_handshake_a_slow_head_and_a_slow_body_are_cut() {
    let limits = Limits { request: Duration::from_millis(100), idle: Duration::from_millis(200), ..Limits::default() };
    let org = Org::with(limits, DoorLimits::default()).await;
    for request in ["POST /v1/fra", "POST /v1/frame HTTP/1.1\r\nContent-Length: 100\r\n\r\nabc"] {
        let mut connection = Connection::open(&org).await;
        connection.send(request.as_bytes()).await;
        assert_eq!(connection.response().await.unwrap().0, 408, "{request:?}");
        assert_eq!(connection.response().await, None);
    }
    assert_eq!(Connection::open(&org).await.response().await, None, "whoever says nothing is let go");
    let silent = TcpStream::connect(org.addr()).await.unwrap();
    silent.readable().await.unwrap();
    assert_eq!(silent.try_read(&mut [0; 16]).unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_has_so_many_connections_and_each_ends_at_its_time() {
    let limits = Limits { per_source: 2, connection: Duration::from_millis(300), ..Limits::default() };
    let org = Org::with(limits, DoorLimits::default()).await;
    let (mut first, _second) = (Connection::open(&org).await, Connection::open(&org).await);
    assert!(Connection::with(&org, tls(&org, None)).await.is_err(), "a third is not let in");
    assert_eq!(first.response().await, None, "it was open for as long as it may");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_that_takes_too_long_and_an_approval_that_nobody_fetches_are_over() {
    let org = Org::new().await;
    org.open_window(10);
    let machine = Machine::new(1);
    let mut waiting = machine.ask(&org, None).await.unwrap();
    org.plane().submit(Kind::Approval, &org.approval(&machine)).unwrap();
    assert_eq!(org.plane().tickets(false).tickets[0].state, "approved");

    let mut connection = Connection::open(&org).await;
    let hello = machine.start(&org, Intent::Enrol, None).hello().1;
    assert_eq!(why(&connection.frame(&hello).await), None);
    org.clock.turn(now().plus(15 * 60 + 1));
    assert_eq!(why(&connection.frame(b"whatever").await), Some(Refusal::Malformed));
    assert_eq!(connection.response().await, None, "one chance");

    match machine.poll(&org, &mut waiting).await {
        Answered::Refused(refused) => assert_eq!(refused.why, Refusal::Expired),
        other => panic!("{other:?}"),
    }
    assert_eq!(org.plane().tickets(true).tickets[0].state, "expired");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_certificate_ends_the_handshake_and_no_session_is_resumed() {
    let (org, other) = (Org::new().await, Org::new().await);
    other.open_window(1);
    let token = other.invite(1);
    let machine = Machine::new(1);
    let mut waiting = machine.ask(&other, Some(&token)).await.unwrap();
    let granted = machine.granted(&other, &mut waiting).await;
    let certificate = granted.grant().certificate.clone();
    let foreign = tls(&org, Some((certificate, machine.private())));
    // In TLS 1.3 the client hears of it with its first reading.
    let refused = match Connection::with(&org, foreign).await {
        Err(_) => true,
        Ok(mut connection) => connection.response().await.is_none(),
    };
    assert!(refused);

    let start = machine.start(&org, Intent::Enrol, None);
    let hello = Start { org: OrgId([0; 16]), ..start }.hello().1;
    assert_eq!(why(&Connection::open(&org).await.frame(&hello).await), Some(Refusal::WrongOrg));

    // A client that would resume is given nothing to resume with.
    let config = Arc::new(tls(&org, None));
    for _ in 0..2 {
        let name = ServerName::try_from(slipway_trust::org::server_name(&org.id)).unwrap();
        let stream = TcpStream::connect(org.addr()).await.unwrap();
        let mut stream = TlsConnector::from(Arc::clone(&config)).connect(name, stream).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n").await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(stream.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    }
}
