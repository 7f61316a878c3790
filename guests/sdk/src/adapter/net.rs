//! One TCP connection, plain or secured by the host, with a deadline for each operation.

use super::Deadline;
use super::tls_bindings::shardwright::tls::client::{TlsError, secure};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::ip_name_lookup::resolve_addresses;
use wasip2::sockets::network::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};
use wasip2::sockets::tcp::TcpSocket;
use wasip2::sockets::tcp_create_socket::create_tcp_socket;

/// The most bytes that are read at once.
const CHUNK: u64 = 64 * 1024;

/// Why a connection cannot be had, or no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetError {
    /// There is no connection: nobody answers there, or the name does not exist.
    Unreachable(String),
    /// The operator has not granted this address; the text says which grant is missing.
    NotGranted(String),
    /// No secure connection: a certificate does not fit.
    Tls(String),
    /// The connection is gone.
    Lost(String),
    /// The deadline came first.
    TimedOut,
}

impl std::fmt::Display for NetError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(why) | Self::NotGranted(why) | Self::Tls(why) | Self::Lost(why) => f.write_str(why),
            Self::TimedOut => f.write_str("no answer in time"),
        }
    }
}

impl std::error::Error for NetError {}

/// A TCP connection. Dropping it closes it.
#[derive(Debug)]
pub struct Connection {
    // Before the socket that they belong to.
    input: InputStream,
    output: OutputStream,
    socket: TcpSocket,
}

impl Connection {
    /// Connects to `host`, a name or an address, at `port`. The host of this component resolves the name; every address
    /// of it is tried, in order.
    ///
    /// # Errors
    /// [`NetError`]; never `Tls` or `Lost`.
    pub fn open(host: &str, port: u16, deadline: Deadline) -> Result<Self, NetError> {
        let network = instance_network();
        let refused = |what: &str, code| match code {
            ErrorCode::AccessDenied => NetError::NotGranted(format!(
                "{host}:{port} is not granted: add \"tcp://{host}:{port}\" or \"tls://{host}:{port}\" to `allow`"
            )),
            ErrorCode::Timeout => NetError::TimedOut,
            code => NetError::Unreachable(format!("{what} {host}:{port}: {}", code.name())),
        };
        let addresses = resolve_addresses(&network, host.trim_start_matches('[').trim_end_matches(']'));
        let addresses = addresses.map_err(|code| refused("cannot resolve", code))?;
        let mut last = NetError::Unreachable(format!("{host} has no address"));
        loop {
            let address = match addresses.resolve_next_address() {
                Ok(Some(address)) => socket_address(address, port),
                Ok(None) => return Err(last),
                Err(ErrorCode::WouldBlock) if deadline.wait(&addresses.subscribe()) => continue,
                Err(ErrorCode::WouldBlock) => return Err(NetError::TimedOut),
                Err(code) => return Err(refused("cannot resolve", code)),
            };
            // An address that swallows everything must not hide one that works.
            let turn = Deadline::after(deadline.left() / 2);
            match Self::to(&network, address, turn) {
                Ok(connection) => return Ok(connection),
                Err(None) => last = NetError::TimedOut,
                Err(Some(code)) => last = refused("cannot connect to", code),
            }
        }
    }

    fn to(
        network: &wasip2::sockets::network::Network,
        address: IpSocketAddress,
        deadline: Deadline,
    ) -> Result<Self, Option<ErrorCode>> {
        let family = match address {
            IpSocketAddress::Ipv4(_) => IpAddressFamily::Ipv4,
            IpSocketAddress::Ipv6(_) => IpAddressFamily::Ipv6,
        };
        let socket = create_tcp_socket(family)?;
        socket.start_connect(network, address)?;
        loop {
            match socket.finish_connect() {
                Ok((input, output)) => {
                    // Half-open connections are found by the deadlines of calls; this only helps idle ones.
                    let _ = socket.set_keep_alive_enabled(true);
                    return Ok(Self { input, output, socket });
                }
                Err(ErrorCode::WouldBlock) if deadline.wait(&socket.subscribe()) => {}
                Err(ErrorCode::WouldBlock) => return Err(None),
                Err(code) => return Err(Some(code)),
            }
        }
    }

    /// Has the host secure this connection, which leads to `host` at `port`: TLS with the authority, certificate and
    /// key that the operator has set for it, none of which this component sees. Needs the grant `tls://host:port`.
    ///
    /// # Errors
    /// [`NetError`]; the connection is gone.
    pub fn secure(self, host: &str, port: u16) -> Result<Self, NetError> {
        let Self { input, output, socket } = self;
        match secure(&format!("{host}:{port}"), input, output) {
            Ok((input, output)) => Ok(Self { input, output, socket }),
            Err(TlsError::NotGranted(why)) => Err(NetError::NotGranted(why)),
            Err(TlsError::Refused(why)) => Err(NetError::Tls(why)),
            Err(TlsError::Lost(why)) => Err(NetError::Lost(why)),
        }
    }

    /// The address of the other side, as it is now.
    #[must_use]
    pub fn peer(&self) -> Option<String> {
        match self.socket.remote_address().ok()? {
            IpSocketAddress::Ipv4(Ipv4SocketAddress {
                port,
                address: (a, b, c, d),
            }) => Some(format!("{a}.{b}.{c}.{d}:{port}")),
            IpSocketAddress::Ipv6(Ipv6SocketAddress {
                port,
                address: (a, b, c, d, e, f, g, h),
                ..
            }) => Some(format!("[{}]:{port}", std::net::Ipv6Addr::new(a, b, c, d, e, f, g, h))),
        }
    }

    /// Sends all of `bytes`.
    ///
    /// # Errors
    /// `Lost` or `TimedOut`; some of it may have been sent.
    pub fn write(&mut self, bytes: &[u8], deadline: Deadline) -> Result<(), NetError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.output.check_write().map_err(lost)? {
                0 if deadline.wait(&self.output.subscribe()) => {}
                0 => return Err(NetError::TimedOut),
                room => {
                    let (now, later) = rest.split_at(rest.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
                    self.output.write(now).map_err(lost)?;
                    rest = later;
                }
            }
        }
        self.output.flush().map_err(lost)
    }

    /// Waits for bytes, appends what has come to `into`, and returns how many that were: at least one.
    ///
    /// # Errors
    /// `Lost`, also when the other side has closed; `TimedOut`, and the connection is as good as before.
    pub fn read(&mut self, into: &mut Vec<u8>, deadline: Deadline) -> Result<usize, NetError> {
        loop {
            let bytes = self.input.read(CHUNK).map_err(lost)?;
            if !bytes.is_empty() {
                into.extend_from_slice(&bytes);
                return Ok(bytes.len());
            }
            if !deadline.wait(&self.input.subscribe()) {
                return Err(NetError::TimedOut);
            }
        }
    }

    /// Appends what has already come to `into`, at most one chunk, and returns how many bytes that were: none, if
    /// nothing has. A connection that the other side has closed meanwhile is noticed here, before anything is sent over
    /// it.
    ///
    /// # Errors
    /// `Lost`, also when the other side has closed.
    pub fn read_ready(&mut self, into: &mut Vec<u8>) -> Result<usize, NetError> {
        let bytes = self.input.read(CHUNK).map_err(lost)?;
        into.extend_from_slice(&bytes);
        Ok(bytes.len())
    }
}

fn lost(error: StreamError) -> NetError {
    NetError::Lost(match error {
        StreamError::Closed => "the connection was closed".into(),
        StreamError::LastOperationFailed(error) => format!("the connection broke: {}", error.to_debug_string()),
    })
}

fn socket_address(address: IpAddress, port: u16) -> IpSocketAddress {
    match address {
        IpAddress::Ipv4(address) => IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address }),
        IpAddress::Ipv6(address) => IpSocketAddress::Ipv6(Ipv6SocketAddress {
            port,
            flow_info: 0,
            address,
            scope_id: 0,
        }),
    }
}
