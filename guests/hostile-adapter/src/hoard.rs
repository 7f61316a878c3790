//! Filling the memory of the host, without a grant: each way that something a guest gives might be kept, or copied,
//! there.

use shardwright_guest::adapter::log;
use std::hint::black_box;
use wasip2::cli::stdout::get_stdout;
use wasip2::cli::terminal_stdout::get_terminal_stdout;
use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{Fields, Method, OutgoingBody, OutgoingRequest, OutgoingResponse, RequestOptions, Scheme};
use wasip2::io::poll::poll;
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::ip_name_lookup::resolve_addresses;
use wasip2::sockets::network::IpAddressFamily;
use wasip2::sockets::tcp_create_socket::create_tcp_socket;

/// How often each is tried: not so often that the number of resources is what ends it.
const TIMES: usize = 200;
/// A long text, but one that may be passed into a call.
const TEXT: usize = 768 << 10;
/// One that may not.
const HUGE: usize = 4 << 20;

/// Does it, if `name` is one of them; what came of it.
pub fn hoard(name: &str) -> Option<String> {
    let text = |length: usize| "x".repeat(length);
    Some(match name {
        "keep-authority" => requests(|request| request.set_authority(Some(&text(TEXT)))),
        "keep-path" => requests(|request| request.set_path_with_query(Some(&format!("/{}", text(TEXT))))),
        "keep-scheme" => requests(|request| request.set_scheme(Some(&Scheme::Other(text(TEXT))))),
        "keep-method" => requests(|request| request.set_method(&Method::Other(text(TEXT)))),
        "keep-fields" => hold(filled),
        "keep-clones" => hold(|| {
            let copy = filled()?.clone();
            copy.append("y", b"another").ok().map(|()| copy)
        }),
        "keep-list" => hold(|| {
            let list: Vec<_> = (0..300).map(|n| (format!("x-{n}"), vec![b'x'; 100])).collect();
            Fields::from_list(&list).ok()
        }),
        "keep-bodies" => hold(|| {
            let request = OutgoingRequest::new(Fields::new());
            let body = request.body().ok()?;
            fill(&body);
            Some((request, body))
        }),
        "keep-responses" => hold(|| {
            let response = OutgoingResponse::new(Fields::new());
            let body = response.body().ok()?;
            fill(&body);
            Some((response, body))
        }),
        "keep-trailers" => hold(|| {
            let request = OutgoingRequest::new(Fields::new());
            let body = request.body().ok()?;
            fill(&body);
            OutgoingBody::finish(body, filled()).ok().map(|()| request)
        }),
        "keep-futures" => hold(|| {
            let request = OutgoingRequest::new(filled()?);
            request.set_scheme(Some(&Scheme::Http)).ok()?;
            request.set_authority(Some("nowhere.example")).ok()?;
            request.set_path_with_query(Some("/")).ok()?;
            fill(&request.body().ok()?);
            handle(request, None).ok()
        }),
        // And goes on as if nothing were.
        "keep-some" => {
            for _ in 0..20 {
                let request = OutgoingRequest::new(Fields::new());
                std::mem::forget((request.body(), request));
            }
            return None;
        }
        "keep-options" => many(RequestOptions::new),
        "keep-sockets" => hold(|| create_tcp_socket(IpAddressFamily::Ipv4).ok()),
        "keep-pollables" => many(|| subscribe_duration(u64::MAX)),
        "keep-streams" => many(|| (get_stdout(), get_terminal_stdout())),
        "keep-lookups" => {
            let network = instance_network();
            hold(|| resolve_addresses(&network, &text(TEXT)).ok())
        }
        "pass-names" => {
            let network = instance_network();
            hold(|| resolve_addresses(&network, &text(HUGE)).ok())
        }
        "pass-authority" => requests(|request| request.set_authority(Some(&text(HUGE)))),
        "pass-fields" => hold(|| {
            (0..1000)
                .map(|n| Fields::new().append(&format!("x-{n}"), &[b'x'; 100_000]).is_ok())
                .max()
        }),
        "pass-header" => hold(|| Fields::new().append("x", &vec![b'x'; HUGE]).ok()),
        "pass-headers" => {
            let list = vec![(String::new(), Vec::new()); HUGE / 32];
            hold(|| Fields::from_list(&list).ok())
        }
        "pass-bytes" => hold(|| get_stdout().write(&vec![b'x'; HUGE]).ok()),
        "pass-line" => hold(|| {
            log::info(&text(HUGE));
            Some(())
        }),
        "pass-pollables" => {
            let pollable = subscribe_duration(0);
            let many = vec![&pollable; HUGE / 4];
            hold(|| Some(poll(&many).len()))
        }
        _ => return None,
    })
}

fn requests(each: impl Fn(&OutgoingRequest) -> Result<(), ()>) -> String {
    hold(|| {
        let request = OutgoingRequest::new(Fields::new());
        each(&request).ok().map(|()| request)
    })
}

/// Keeps what `make` makes, and says how often it was made.
fn hold<T>(make: impl Fn() -> Option<T>) -> String {
    let held: Vec<_> = (0..TIMES).map(|_| make()).collect();
    let made = black_box(&held).iter().flatten().count();
    format!("{made} of {TIMES}")
}

/// Keeps more of them than anybody needs.
fn many<T>(make: impl Fn() -> T) -> String {
    let held: Vec<_> = (0..5 * TIMES).map(|_| make()).collect();
    format!("{} held", black_box(held).len())
}

/// Fields with almost as much in them as the host takes.
fn filled() -> Option<Fields> {
    let fields = Fields::new();
    (0..55)
        .try_for_each(|n| fields.append(&format!("x-{n}"), &[b'x'; 1024]))
        .ok()?;
    Some(fields)
}

/// Writes as much into `body` as the host takes.
fn fill(body: &OutgoingBody) {
    let Ok(stream) = body.write() else { return };
    while let Ok(room @ 1..) = stream.check_write() {
        let chunk = vec![b'x'; usize::try_from(room).unwrap_or(TEXT).min(TEXT)];
        if stream.write(&chunk).is_err() {
            return;
        }
    }
}
