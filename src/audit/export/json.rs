//! JSON on one line that does nothing to a terminal.

use serde::Serialize;

/// `value` as JSON on one line. What could steer a terminal stands as an escape, which means the
/// same: `\u009b`.
///
/// # Errors
/// If it is no JSON.
pub fn json_line(value: &impl Serialize) -> serde_json::Result<String> {
    let json = serde_json::to_string(value)?;
    if json.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return Ok(json);
    }
    let mut line = String::with_capacity(json.len() + 32);
    for c in json.chars() {
        if is_plain(c) {
            line.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                line.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    Ok(line)
}

/// Neither a control character nor one without a shape: those change what others look like.
fn is_plain(c: char) -> bool {
    !c.is_control()
        && !matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_line_means_what_was_said_and_is_inert(text in any::<String>()) {
            let line = json_line(&text).unwrap();
            prop_assert!(line.chars().all(is_plain));
            prop_assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
        }
    }

    #[test]
    fn what_has_no_shape_is_escaped() {
        assert_eq!(
            json_line(&"é\u{9b}\u{202e}\u{e0001}").unwrap(),
            r#""é\u009b\u202e\udb40\udc01""#
        );
    }
}
