//! Reaching for what nobody granted: each way to the network that is none of an adapter's, and too much of those that
//! are.

use shardwright_guest::adapter::{Deadline, http};
use std::time::Duration;
use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{ErrorCode, Fields, FutureIncomingResponse, OutgoingRequest, Scheme};
use wasip2::io::poll::poll;
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::network::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
use wasip2::sockets::tcp_create_socket::create_tcp_socket;
use wasip2::sockets::udp_create_socket::create_udp_socket;

/// Does it at `at`, if `name` is one of them; what came of it.
pub fn reach(name: &str, at: &str) -> Option<String> {
    Some(match name {
        "redirect" => redirect(at),
        "connections" => connections(at),
        "datagrams" => datagrams(),
        "listen" => listen(0),
        "listen-at-loopback" => listen(127),
        "babble" => babble(),
        _ => return None,
    })
}

fn get(url: &str) -> Result<http::Response, http::HttpError> {
    let request = http::Request {
        method: "GET",
        url,
        headers: &[],
        body: &[],
    };
    request.send(Deadline::after(Duration::from_secs(1)))
}

/// Follows wherever it is sent.
fn redirect(at: &str) -> String {
    let answer = match get(&format!("http://{at}/")) {
        Ok(answer) => answer,
        Err(error) => return format!("no answer: {error:?}"),
    };
    let to = answer.header("location").unwrap_or_default().to_owned();
    let followed = get(&to).map(|answer| answer.status);
    format!("{} to {to}: {followed:?}", answer.status)
}

/// Begins many requests that nobody answers.
fn connections(at: &str) -> String {
    let begun: Vec<_> = (0..20)
        .filter_map(|_| {
            let request = OutgoingRequest::new(Fields::new());
            request.set_scheme(Some(&Scheme::Http)).ok()?;
            request.set_authority(Some(at)).ok()?;
            request.set_path_with_query(Some("/")).ok()?;
            handle(request, None).ok()
        })
        .collect();
    let ready: Vec<_> = begun.iter().map(FutureIncomingResponse::subscribe).collect();
    let (patience, mut refused) = (subscribe_duration(10_000_000_000), Vec::new());
    // Those that are refused are so at once; the others wait for as long as they are let.
    while begun.len() > refused.len() + 8 {
        let waited_for: Vec<_> = ready.iter().chain([&patience]).collect();
        let news = poll(&waited_for);
        if news.contains(&(begun.len() as u32)) {
            break;
        }
        refused.extend(begun.iter().filter_map(|answer| answer.get()?.ok()?.err()));
    }
    let limit = refused
        .iter()
        .filter(|error| matches!(error, ErrorCode::ConnectionLimitReached))
        .count();
    format!("{} begun, {limit} refused, others {:?}", begun.len(), &refused[limit..])
}

fn address(first: u8) -> IpSocketAddress {
    let address = if first == 0 { (0, 0, 0, 0) } else { (first, 0, 0, 1) };
    IpSocketAddress::Ipv4(Ipv4SocketAddress { port: 0, address })
}

fn datagrams() -> String {
    match create_udp_socket(IpAddressFamily::Ipv4) {
        Ok(socket) => format!(
            "a socket, bound: {:?}",
            socket.start_bind(&instance_network(), address(0))
        ),
        Err(error) => format!("no socket: {error:?}"),
    }
}

fn listen(first: u8) -> String {
    let listening = || {
        let socket = create_tcp_socket(IpAddressFamily::Ipv4).map_err(|error| format!("no socket: {error:?}"))?;
        let bound = socket
            .start_bind(&instance_network(), address(first))
            .and_then(|()| socket.finish_bind());
        bound.map_err(|error| format!("not bound: {error:?}"))?;
        let listens = socket.start_listen().and_then(|()| socket.finish_listen());
        listens.map_err(|error| format!("does not listen: {error:?}"))
    };
    listening().map_or_else(|error: String| error, |()| "listens".into())
}

/// Says a lot, and dies.
fn babble() -> String {
    (0..10_000).for_each(|n| println!("word {n}, hunter2"));
    panic!("that was all")
}
