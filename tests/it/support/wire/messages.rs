//! Messages to be sent, right ones and pieces of wrong ones.

/// `SSLRequest`
pub const SSL_REQUEST: &[u8] = &[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
/// `GSSENCRequest`
pub const GSS_REQUEST: &[u8] = &[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30];

/// A message with that tag.
pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len() + 4).expect("a test's message is small");
    [&[tag][..], &len.to_be_bytes(), body].concat()
}

/// A header that promises `len`, whatever follows.
pub fn header(tag: u8, len: i32) -> Vec<u8> {
    [&[tag][..], &len.to_be_bytes()].concat()
}

/// `Query`
pub fn query(sql: &str) -> Vec<u8> {
    message(b'Q', &text(&[sql]))
}

/// Strings, each behind with a NUL.
pub fn text(strings: &[&str]) -> Vec<u8> {
    strings
        .iter()
        .flat_map(|s| [s.as_bytes(), b"\0"].concat())
        .collect()
}

/// A startup packet with that code.
pub fn packet(code: u32, rest: &[u8]) -> Vec<u8> {
    let len = u32::try_from(rest.len() + 8).expect("a test's packet is small");
    [&len.to_be_bytes(), &code.to_be_bytes(), rest].concat()
}

/// A StartupMessage of protocol `major.minor`.
pub fn startup(major: u16, minor: u16, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in parameters {
        body.extend(text(&[name, value]));
    }
    body.push(0);
    packet(u32::from(major) << 16 | u32::from(minor), &body)
}

/// A CancelRequest with what BackendKeyData said.
pub fn cancel_request(key: &[u8]) -> Vec<u8> {
    packet(0x04d2_162e, key)
}

/// `SASLInitialResponse`, without its header.
pub fn initial_response(mechanism: &str, data: &[u8]) -> Vec<u8> {
    let len = u32::try_from(data.len()).expect("a test's message is small");
    [&text(&[mechanism])[..], &len.to_be_bytes(), data].concat()
}

/// What a server says to a client that it does not challenge.
pub fn welcome(process_id: i32, secret: &[u8]) -> Vec<u8> {
    [
        message(b'R', &0_u32.to_be_bytes()),
        message(b'S', &text(&["server_version", "15.0 (scripted)"])),
        message(b'K', &[&process_id.to_be_bytes(), secret].concat()),
        ready(),
    ]
    .concat()
}

/// `ReadyForQuery`, outside a transaction.
pub fn ready() -> Vec<u8> {
    message(b'Z', b"I")
}

/// `CommandComplete` and `ReadyForQuery`
pub fn done(tag: &str) -> Vec<u8> {
    [message(b'C', &text(&[tag])), ready()].concat()
}

/// `ErrorResponse` with these fields.
pub fn error(fields: &[(char, &str)]) -> Vec<u8> {
    let mut body: Vec<u8> = fields
        .iter()
        .flat_map(|(tag, value)| text(&[&format!("{tag}{value}")]))
        .collect();
    body.push(0);
    message(b'E', &body)
}
