//! One end of a wire: what comes to a port of 127.0.0.1, in whatever network namespace this runs, is carried to an
//! address.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use clap::Args;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// What `relay` accepts.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The port.
    port: u16,
    /// Where it leads to.
    target: SocketAddr,
}

/// Carries until it is killed.
pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, arguments.port)).await;
    let listener = listener.with_context(|| format!("port {} cannot be had", arguments.port))?;
    loop {
        let (mut near, _) = listener.accept().await?;
        tokio::spawn(async move {
            let Ok(mut far) = TcpStream::connect(arguments.target).await else {
                return;
            };
            // How a connection ends is the two sides' business, and whether it may wait for more bytes, too.
            let _ = (near.set_nodelay(true), far.set_nodelay(true));
            let _ = copy_bidirectional(&mut near, &mut far).await;
        });
    }
}
