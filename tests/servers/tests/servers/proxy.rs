//! The proxy forwards, and cuts, delays and swallows as told.
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use shardwright_servers::Proxy;

/// A server that sends back what it gets, and what it got.
fn echo() -> (u16, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (heard, hears) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, heard) = (stream.unwrap(), heard.clone());
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(length @ 1..) = stream.read(&mut buffer) {
                    let _ = heard.send(buffer[..length].to_vec());
                    stream.write_all(&buffer[..length]).unwrap();
                }
            });
        }
    });
    (port, hears)
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

fn round_trip(stream: &mut TcpStream) -> std::io::Result<Duration> {
    let start = Instant::now();
    stream.write_all(b"hello")?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer)?;
    assert_eq!(&answer, b"hello");
    Ok(start.elapsed())
}

#[test]
fn it_cuts_and_heals() {
    let (port, _hears) = echo();
    let proxy = Proxy::to(port).unwrap();
    let mut first = connect(&proxy);
    round_trip(&mut first).unwrap();
    proxy.cut();
    round_trip(&mut first).unwrap_err();
    TcpStream::connect(("127.0.0.1", proxy.port())).unwrap_err();
    proxy.heal().unwrap();
    let mut second = connect(&proxy);
    round_trip(&mut second).unwrap();
    proxy.interrupt().unwrap();
    round_trip(&mut second).unwrap_err();
    round_trip(&mut connect(&proxy)).unwrap();
    assert_eq!(proxy.connections(), 3);
    // The two that failed may have been taken before the connection was seen to be closed.
    assert!((3..=5).contains(&proxy.requests()), "{}", proxy.requests());
}

#[test]
fn it_delays_each_way_and_takes_no_bandwidth() {
    let (port, hears) = echo();
    let proxy = Proxy::to(port).unwrap();
    let mut stream = connect(&proxy);
    round_trip(&mut stream).unwrap();
    hears.recv().unwrap();
    proxy.delay(Duration::from_millis(100));
    assert!(round_trip(&mut stream).unwrap() >= Duration::from_millis(200));
    proxy.delay(Duration::ZERO);
    round_trip(&mut stream).unwrap();
    // Far more pieces than could pass one after the other.
    proxy.delay(Duration::from_secs(1));
    let start = Instant::now();
    let mut reader = stream.try_clone().unwrap();
    let reading = thread::spawn(move || {
        let mut answers = vec![0; 1000];
        reader.read_exact(&mut answers).unwrap();
    });
    for _ in 0..100 {
        stream.write_all(&[1; 10]).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    reading.join().unwrap();
    assert!(start.elapsed() < Duration::from_secs(50), "{:?}", start.elapsed());
}

#[test]
fn it_swallows_answers_and_lets_requests_pass() {
    let (port, hears) = echo();
    let proxy = Proxy::to(port).unwrap();
    let mut stream = connect(&proxy);
    proxy.swallow_answers(true);
    stream.write_all(b"lost").unwrap();
    assert_eq!(hears.recv_timeout(Duration::from_secs(60)).unwrap(), b"lost");
    proxy.interrupt().unwrap();
    let mut rest = Vec::new();
    // Closed or reset, but nothing that was said.
    let _ = stream.read_to_end(&mut rest);
    assert_eq!(rest, b"");
    proxy.swallow_answers(false);
    round_trip(&mut connect(&proxy)).unwrap();
}

#[test]
fn the_end_of_one_side_is_told_to_the_other() {
    let (port, _hears) = echo();
    let proxy = Proxy::to(port).unwrap();
    let mut stream = connect(&proxy);
    stream.write_all(b"bye").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"bye");
}

#[tokio::test]
async fn it_can_be_dropped_inside_an_async_test() {
    let (port, _hears) = echo();
    let proxy = Proxy::to(port).unwrap();
    round_trip(&mut connect(&proxy)).unwrap();
    proxy.cut();
    drop(proxy);
}

#[test]
fn it_leads_elsewhere_when_told() {
    let ((one, at_one), (other, at_other)) = (echo(), echo());
    let proxy = Proxy::to(one).unwrap();
    let mut first = connect(&proxy);
    round_trip(&mut first).unwrap();
    proxy.lead_to(other);
    round_trip(&mut connect(&proxy)).unwrap();
    round_trip(&mut first).unwrap();
    assert_eq!((at_one.try_iter().count(), at_other.try_iter().count()), (2, 1));
}

/// Also while processes are started beside it: each has a copy of the listening socket until it executes its program.
#[test]
fn a_way_that_was_cut_is_open_again_at_once() {
    let (server, _) = echo();
    let proxy = Proxy::to(server).unwrap();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                assert!(Command::new("true").status().unwrap().success());
            }
        });
        for _ in 0..300 {
            let client = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
            let open = proxy.interrupt();
            if open.is_err() {
                over.store(true, Ordering::SeqCst);
            }
            open.unwrap();
            drop(client);
        }
        over.store(true, Ordering::SeqCst);
    });
}
