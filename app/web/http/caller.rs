//! Which program of this machine is at the other end of a connection, by the user that it runs as.
//!
//! A camera's web server asks for passwords and passes requests on over loopback, where every application of the camera
//! can ask as well. What the web server adds to a request anybody can write; but the kernel says which user a socket
//! belongs to (proc_pid_net(5), `tcp`), and applications have users of their own.

use std::io;
use std::net::{IpAddr, SocketAddr};

/// Users that systemd makes up for the time that a service runs ("Users, Groups, UIDs and GIDs on systemd systems"):
/// on cameras, those of applications.
const MADE_UP: std::ops::RangeInclusive<u32> = 61_184..=65_519;
/// From here on there are users of containers only.
const OF_CONTAINERS: u32 = 65_536;
/// The user that applications had before they got users of their own.
const STATIC_USER: &str = "sdk";
/// A table that changes while it is read may lack a line.
const LOOKS: usize = 3;
const LISTENING: &str = "0A";
/// The tables: of IPv4, and of IPv6, where sockets for both are as well.
const TABLES: [&str; 2] = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// The system, to which the web server belongs, or Spotter's own user.
    System,
    /// Another application, with its user.
    Application(u32),
    /// A connection that is not in the table any more: whoever opened it has gone.
    Gone,
}

/// Whoever opened the connection that is `here` at this end and `there` at theirs.
///
/// # Errors
/// Where the kernel's table cannot be read.
pub fn of(there: SocketAddr, here: SocketAddr) -> io::Result<Caller> {
    for _ in 0..LOOKS {
        if let Some(user) = find(|row| row.local == there && row.remote == here && row.owned)? {
            return Ok(judge(user, &Own::here()));
        }
    }
    Ok(Caller::Gone)
}

/// The user of whatever listens at that address.
///
/// # Errors
/// Where the kernel's table cannot be read.
pub fn listener(address: SocketAddr) -> io::Result<Option<u32>> {
    find(|row| {
        let anywhere = row.local.ip().is_unspecified();
        row.listens && row.local.port() == address.port() && (anywhere || row.local.ip() == address.ip())
    })
}

fn find(is_it: impl Fn(&Row) -> bool) -> io::Result<Option<u32>> {
    let mut read = 0;
    let mut failed = None;
    for table in TABLES {
        match std::fs::read_to_string(table) {
            Ok(text) => {
                read += 1;
                if let Some(row) = text.lines().skip(1).filter_map(Row::read).find(|row| is_it(row)) {
                    return Ok(Some(row.user));
                }
            }
            // A system may have one of the two alone.
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) if read == 0 => Err(error),
        _ => Ok(None),
    }
}

/// A line of the table.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    local: SocketAddr,
    remote: SocketAddr,
    listens: bool,
    user: u32,
    /// A process has it. One that was closed stays for a while and is told as root's.
    owned: bool,
}

impl Row {
    fn read(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().take(10).collect();
        let [_, local, remote, state, _, _, _, user, _, inode] = words[..] else { return None };
        Some(Self {
            local: address(local)?,
            remote: address(remote)?,
            listens: state == LISTENING,
            user: user.parse().ok()?,
            owned: inode != "0",
        })
    }
}

/// `0100007F:6C78`: words of the address as they lie in memory, then the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = Vec::with_capacity(16);
    for at in (0..address.len()).step_by(8) {
        let word = u32::from_str_radix(address.get(at..at + 8)?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let ip = match <[u8; 4]>::try_from(&bytes[..]) {
        Ok(v4) => IpAddr::from(v4),
        Err(_) => IpAddr::from(<[u8; 16]>::try_from(&bytes[..]).ok()?).to_canonical(),
    };
    Some(SocketAddr::new(ip, port))
}

/// This process, and the users that have names.
struct Own {
    user: u32,
    group: u32,
    passwd: String,
}

impl Own {
    fn here() -> Self {
        Self {
            user: rustix::process::getuid().as_raw(),
            group: rustix::process::getgid().as_raw(),
            // Without it the numbers alone tell.
            passwd: std::fs::read_to_string("/etc/passwd").unwrap_or_default(),
        }
    }
}

/// Whoever runs as root or as this very user can do anything to Spotter anyway. An application has a user of a range of
/// its own, is in the group that applications (Spotter too) are in, or has their old user.
fn judge(user: u32, own: &Own) -> Caller {
    if user == 0 || user == own.user {
        return Caller::System;
    }
    let mut lines = own.passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let named = lines.find(|line| line.get(2) == Some(&user.to_string().as_str()));
    let among_applications = named.is_some_and(|line| {
        let group = line.get(3).and_then(|group| group.parse::<u32>().ok());
        line[0] == STATIC_USER || own.group != 0 && group == Some(own.group)
    });
    if MADE_UP.contains(&user) || user >= OF_CONTAINERS || among_applications {
        Caller::Application(user)
    } else {
        Caller::System
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};

    #[test]
    fn a_line_of_the_kernels_table_is_read() {
        // As `cat /proc/net/tcp` and tcp6 show it on a little-endian machine, which cameras are.
        if cfg!(target_endian = "big") {
            return;
        }
        let v4 = "   3: 0100007F:6C78 0100007F:D1A2 01 00000000:00000000 00:00000000 00000000 61190        0 12345 1 x";
        let row = Row::read(v4).unwrap();
        assert_eq!(row.local, "127.0.0.1:27768".parse().unwrap());
        assert_eq!(row.remote, "127.0.0.1:53666".parse().unwrap());
        assert_eq!((row.user, row.listens, row.owned), (61_190, false, true));
        let mapped = "   0: 0000000000000000FFFF00000100007F:6C78 0000000000000000FFFF00000100007F:0001 0A 00000000:00000000 00:00000000 00000000     0        0 0";
        let row = Row::read(mapped).unwrap();
        assert_eq!(row.local, "127.0.0.1:27768".parse().unwrap());
        assert_eq!((row.listens, row.owned), (true, false));
        let v6 = "00000000000000000000000001000000:0050";
        assert_eq!(address(v6), Some((Ipv6Addr::LOCALHOST, 80).into()));
        for broken in [
            "",
            "sl local_address rem_address",
            "0: 0100007F 0:0 0A 0 0 0 0 0 0",
            "0: 1:1 1:1 0A 0 0 0 x 0 1",
        ] {
            assert_eq!(Row::read(broken), None, "{broken}");
        }
    }

    #[test]
    fn applications_are_told_from_the_system() {
        let passwd = "root:x:0:0::/:/bin/sh\nwww:x:33:33::/:\nsdk:x:200:200::/:\nacap-other:x:300:184::/:\n";
        let own = Own { user: 61_200, group: 184, passwd: passwd.to_owned() };
        for user in [0, 33, 99, 1000, 65_534, 61_200] {
            assert_eq!(judge(user, &own), Caller::System, "{user}");
        }
        for user in [200, 300, 61_184, 61_201, 65_519, 65_536, 100_000] {
            assert_eq!(judge(user, &own), Caller::Application(user), "{user}");
        }
        // Without the list of users the numbers still tell.
        assert_eq!(judge(61_201, &Own { passwd: String::new(), ..own }), Caller::Application(61_201));
    }

    #[test]
    fn whoever_has_closed_is_nobody() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let here = listener.local_addr().unwrap();
        let client = TcpStream::connect(here).unwrap();
        let (_stream, there) = listener.accept().unwrap();
        assert_eq!(of(there, here).unwrap(), Caller::System, "it is this process");
        assert_eq!(super::listener(here).unwrap(), Some(rustix::process::getuid().as_raw()));
        // The kernel calls a socket that no process has root's.
        drop(client);
        assert_eq!(of(there, here).unwrap(), Caller::Gone);
    }
}
