//! What comes before tags: startup packets (manual sections 55.2.1, 55.2.10 and 55.7).

use bytes::{BufMut, Bytes, BytesMut};

use super::reader::{Malformed, Reader};

/// PostgreSQL's limit for a packet before login (`MAX_STARTUP_PACKET_LENGTH`).
pub const MAX_PACKET: usize = 10_000;

const CANCEL: u32 = 0x04d2_162e;
const SSL: u32 = 0x04d2_162f;
const GSS: u32 = 0x04d2_1630;

/// The first packets of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// `SSLRequest`
    Ssl,
    /// `GSSENCRequest`
    Gss,
    /// `CancelRequest`
    Cancel(CancelKey),
    /// `StartupMessage`
    Startup(Startup),
    /// A major version that hallpass does not speak.
    Unsupported {
        /// Its major number.
        major: u16,
        /// Its minor number.
        minor: u16,
    },
}

/// What names a connection in a CancelRequest: 4 secret bytes up to protocol 3.1, 4 to 256 in 3.2.
#[derive(Clone, PartialEq, Eq)]
pub struct CancelKey {
    /// The server process.
    pub process_id: i32,
    /// What only the client of that process was told.
    pub secret: Bytes,
}

impl std::fmt::Debug for CancelKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CancelKey({}, <secret>)", self.process_id)
    }
}

/// `StartupMessage`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Startup {
    /// Protocol 3.`minor`.
    pub minor: u16,
    /// Names and values, as they came and in their order.
    pub parameters: Vec<(Bytes, Bytes)>,
}

impl Startup {
    /// The value of a parameter; the last one counts, as in PostgreSQL.
    pub fn parameter(&self, name: &str) -> Option<&Bytes> {
        self.parameters
            .iter()
            .rev()
            .find(|(key, _)| key == name.as_bytes())
            .map(|(_, value)| value)
    }

    /// The protocol options (`_pq_.*`) by name.
    pub fn protocol_options(&self) -> impl Iterator<Item = &Bytes> {
        self.parameters
            .iter()
            .map(|(name, _)| name)
            .filter(|name| name.starts_with(b"_pq_."))
    }

    /// The packet's bytes.
    pub fn encode(&self) -> BytesMut {
        let mut body = BytesMut::new();
        body.put_u16(3);
        body.put_u16(self.minor);
        for (name, value) in &self.parameters {
            for text in [name, value] {
                body.put_slice(text);
                body.put_u8(0);
            }
        }
        body.put_u8(0);
        packet(&body)
    }
}

/// The bytes of an `SSLRequest`.
pub fn ssl_request() -> BytesMut {
    packet(&SSL.to_be_bytes())
}

/// The bytes of a `CancelRequest`.
pub fn cancel_request(key: &CancelKey) -> BytesMut {
    let mut body = BytesMut::new();
    body.put_u32(CANCEL);
    body.put_i32(key.process_id);
    body.put_slice(&key.secret);
    packet(&body)
}

fn packet(body: &[u8]) -> BytesMut {
    let mut packet = BytesMut::with_capacity(body.len().saturating_add(4));
    // Far below 4 GiB: a startup packet is bounded by MAX_PACKET on the way in.
    packet.put_u32(u32::try_from(body.len().saturating_add(4)).unwrap_or(u32::MAX));
    packet.put_slice(body);
    packet
}

/// The length of a packet's body from its first four bytes.
///
/// # Errors
/// [`Malformed`] if it is not between 4 and [`MAX_PACKET`].
pub fn body_len(prefix: [u8; 4]) -> Result<usize, Malformed> {
    let len = usize::try_from(u32::from_be_bytes(prefix)).map_err(|_| Malformed)?;
    if (8..=MAX_PACKET).contains(&len) {
        Ok(len.saturating_sub(4))
    } else {
        Err(Malformed)
    }
}

/// Reads a packet's body.
///
/// # Errors
/// [`Malformed`] if it is none.
pub fn packet_from(body: &Bytes) -> Result<Packet, Malformed> {
    let mut reader = Reader::new(body);
    let code = reader.u32()?;
    match code {
        SSL => reader.end().map(|()| Packet::Ssl),
        GSS => reader.end().map(|()| Packet::Gss),
        CANCEL => cancel(body, reader),
        _ => startup(body, code, reader),
    }
}

fn cancel(body: &Bytes, mut reader: Reader<'_>) -> Result<Packet, Malformed> {
    let process_id = reader.i32()?;
    let secret = body.slice_ref(reader.rest());
    if !(4..=256).contains(&secret.len()) {
        return Err(Malformed);
    }
    Ok(Packet::Cancel(CancelKey { process_id, secret }))
}

fn startup(body: &Bytes, version: u32, mut reader: Reader<'_>) -> Result<Packet, Malformed> {
    let [a, b, c, d] = version.to_be_bytes();
    let (major, minor) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    if major != 3 {
        return Ok(Packet::Unsupported { major, minor });
    }
    let mut parameters = Vec::new();
    loop {
        let name = reader.cstr()?;
        if name.is_empty() {
            break;
        }
        let value = reader.cstr()?;
        parameters.push((body.slice_ref(name), body.slice_ref(value)));
    }
    reader.end()?;
    Ok(Packet::Startup(Startup { minor, parameters }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(packet: &BytesMut) -> Result<Packet, Malformed> {
        let (prefix, body) = packet.split_first_chunk::<4>().unwrap();
        assert_eq!(body_len(*prefix).unwrap(), body.len());
        packet_from(&Bytes::copy_from_slice(body))
    }

    #[test]
    fn packets_read_back_as_they_were_written() {
        assert_eq!(read(&ssl_request()), Ok(Packet::Ssl));
        let key = CancelKey {
            process_id: -7,
            secret: Bytes::from_static(&[9; 32]),
        };
        assert_eq!(read(&cancel_request(&key)), Ok(Packet::Cancel(key)));
        let startup = Startup {
            minor: 2,
            parameters: vec![("user".into(), "maya".into()), ("_pq_.x".into(), "".into())],
        };
        assert_eq!(read(&startup.encode()), Ok(Packet::Startup(startup)));
    }

    #[test]
    fn a_packet_length_out_of_bounds_is_refused_before_its_body() {
        for len in [0_u32, 3, 7, 10_001, 0x7fff_ffff, 0xffff_ffff] {
            assert_eq!(body_len(len.to_be_bytes()), Err(Malformed), "{len}");
        }
        assert_eq!(body_len(10_000_u32.to_be_bytes()), Ok(9_996));
    }

    #[test]
    fn a_startup_message_must_end_where_it_says() {
        let mut body = vec![0, 3, 0, 0];
        body.extend(b"user\0maya\0\0");
        assert!(packet_from(&body.clone().into()).is_ok());
        body.push(b'x');
        assert_eq!(packet_from(&body.into()), Err(Malformed));
        assert_eq!(
            packet_from(&Bytes::from_static(b"\0\x03\0\0user\0maya\0")),
            Err(Malformed)
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_packet_panic(body in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = packet_from(&body.into());
        }
    }
}
