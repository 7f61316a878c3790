//! As much of HTTP as it takes to ask a server something.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// What the server at `port` says to a GET.
pub(crate) fn get(port: u16, path: &str) -> Result<String> {
    ask(port, &format!("GET {path} HTTP/1.0\r\n\r\n"))
}

/// What the server at `port` says to a POST of `body`, by whom `token` stands for.
pub(crate) fn post(port: u16, path: &str, token: Option<&str>, body: &str) -> Result<String> {
    let token = token
        .map(|token| format!("Authorization: {token}\r\n"))
        .unwrap_or_default();
    let length = body.len();
    ask(
        port,
        &format!(
            "POST {path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{token}\r\n{body}"
        ),
    )
}

fn ask(port: u16, request: &str) -> Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer is no HTTP")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    ensure!(status == "200", "status {status}: {}", body.trim());
    Ok(body.to_owned())
}
