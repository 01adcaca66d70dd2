//! Text from people, made harmless for whoever reads it elsewhere.

/// Text with what could turn it around, hide in it or steer a terminal made visible. Lines stay.
pub fn inert(text: &str) -> String {
    let visible = |c: char| match c {
        '\n' => '\n',
        '\t' => ' ',
        c if c.is_control() || is_hidden(c) => '\u{fffd}',
        c => c,
    };
    text.chars().map(visible).collect()
}

/// The same in one line.
pub(super) fn one_line(text: &str) -> String {
    let text = inert(text);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// At most so many characters; what is cut off leaves an ellipsis.
pub(super) fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most - 1).chain(['…']).collect(),
    }
}

/// Direction marks and characters without a shape; not the joiners of scripts and emoji.
fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Text as a piece of HTML: the five characters that mean something there are written out.
pub(super) fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in inert(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' => escaped.push_str("<br>"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_hides_or_turns_around_is_made_visible() {
        assert_eq!(
            inert("a\u{1b}[2Jb\u{202e}c\u{2066}\rd\ne\tf"),
            "a\u{fffd}[2Jb\u{fffd}c\u{fffd}\u{fffd}d\ne f"
        );
        assert_eq!(one_line(" a\r\nBcc: b "), "a\u{fffd} Bcc: b");
    }

    #[test]
    fn nothing_in_a_text_is_markup_in_html() {
        assert_eq!(
            html("<img src=x onerror='a'>\n\"&"),
            "&lt;img src=x onerror=&#39;a&#39;&gt;<br>&quot;&amp;"
        );
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(shortened("äöü", 3), "äöü");
        assert_eq!(shortened("äöüß", 3), "äö…");
    }
}
