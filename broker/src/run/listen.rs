//! Binding of ports.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use socket2::{Domain, Socket, Type};

use super::RunError;

/// Length of the accept queue: after a restart all receivers reconnect at once. The kernel's default limit is the same
/// (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;

/// Binds one port.
pub(super) fn bind(address: SocketAddr, flag: &'static str) -> Result<TcpListener, RunError> {
    let refused = |source| RunError::Listen { address, flag, source };
    let socket = socket(address).map_err(refused)?;
    let listener = bound(socket, address).map_err(refused)?;
    let address = listener.local_addr().unwrap_or(address);
    tracing::info!(%address, flag, "listening");
    Ok(listener)
}

/// Binds a port once per worker: the kernel spreads the connections over the listeners.
pub(super) fn bind_for(
    cores: usize,
    address: SocketAddr,
    flag: &'static str,
) -> Result<Vec<TcpListener>, RunError> {
    // Binds without sharing first: a port that another process uses is an error, even if that process shares it.
    let alone = bind(address, flag)?;
    if cores == 1 {
        return Ok(vec![alone]);
    }
    let address = alone.local_addr().unwrap_or(address);
    drop(alone);
    let shared = || {
        let socket = socket(address)?;
        socket.set_reuse_port(true)?;
        bound(socket, address)
    };
    let refused = |source| RunError::Listen { address, flag, source };
    (0..cores).map(|_| shared()).collect::<io::Result<_>>().map_err(refused)
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A port that was used a moment ago still has connections that are closing.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn bound(socket: Socket, address: SocketAddr) -> io::Result<TcpListener> {
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
