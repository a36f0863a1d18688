//! Which characters of a Rust file are code, comment or literal.
//!
//! Enough of the language's surface to tell the word `unsafe` in an expression from the same word
//! in a comment or a string. It does not parse: the compiler has seen the file already, so what
//! could not compile need not be told apart.
//!
//! **Invariant:** the answer has the lines of the question, so that line numbers still hold.

/// What a character belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Code,
    /// `//`, `///`, `//!` and `/* */`, the slashes included.
    Comment,
    /// Strings and characters of every kind, the quotes included.
    Literal,
}

/// The text with everything but `part` replaced by blanks.
pub(super) fn only(text: &str, part: Part) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let (end, kind) = token(&chars, at);
        for &c in &chars[at..end] {
            out.push(if kind == part || c == '\n' { c } else { ' ' });
        }
        at = end;
    }
    out
}

/// Whether `text` has `word` with nothing beside it that would make it a longer one.
pub(super) fn has_word(text: &str, word: &str, in_word: fn(char) -> bool) -> bool {
    text.match_indices(word).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let after = text[start + word.len()..].chars().next();
        !before.is_some_and(in_word) && !after.is_some_and(in_word)
    })
}

/// What names in Rust are made of.
pub(super) fn in_identifier(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The piece that starts at `at`: where it ends, and what it is.
fn token(chars: &[char], at: usize) -> (usize, Part) {
    let next = chars.get(at + 1).copied();
    match chars[at] {
        '/' if next == Some('/') => (line_end(chars, at), Part::Comment),
        '/' if next == Some('*') => (block_comment_end(chars, at), Part::Comment),
        '"' => (quoted_end(chars, at, '"'), Part::Literal),
        '\'' if next == Some('\\') || chars.get(at + 2) == Some(&'\'') => {
            (quoted_end(chars, at, '\''), Part::Literal)
        }
        'r' if !follows_word(chars, at) => match raw_string_end(chars, at) {
            Some(end) => (end, Part::Literal),
            None => (at + 1, Part::Code),
        },
        _ => (at + 1, Part::Code),
    }
}

fn line_end(chars: &[char], at: usize) -> usize {
    chars[at..]
        .iter()
        .position(|&c| c == '\n')
        .map_or(chars.len(), |len| at + len)
}

fn block_comment_end(chars: &[char], at: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = at;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                at += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    chars.len()
}

fn quoted_end(chars: &[char], at: usize, quote: char) -> usize {
    let mut at = at + 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            c if c == quote => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// Where the raw string at `at` ends; nothing if the `r` starts no raw string (`r#type`, a name).
fn raw_string_end(chars: &[char], at: usize) -> Option<usize> {
    let hashes = chars[at + 1..].iter().take_while(|&&c| c == '#').count();
    let open = at + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let closes = |quote: usize| {
        chars[quote] == '"'
            && chars
                .get(quote + 1..quote + 1 + hashes)
                .is_some_and(|c| c.iter().all(|&c| c == '#'))
    };
    let close = (open + 1..chars.len()).find(|&quote| closes(quote));
    Some(close.map_or(chars.len(), |quote| quote + 1 + hashes))
}

/// Whether the character at `at` goes on with a name. The prefixes of `br""` and `cr""` are no name.
fn follows_word(chars: &[char], at: usize) -> bool {
    let prefix = at > 0 && matches!(chars[at - 1], 'b' | 'c');
    match at - usize::from(prefix) {
        0 => false,
        start => in_identifier(chars[start - 1]),
    }
}

#[cfg(test)]
mod tests {
    use super::{Part, has_word, in_identifier, only};

    fn check(text: &str, part: Part) -> String {
        only(text, part)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn comments_end_with_their_line_or_their_last_star() {
        let text = "a // b \" c\nd /* e /* f */ g */ h";
        assert_eq!(check(text, Part::Code), "a d h");
        assert_eq!(check(text, Part::Comment), "// b \" c /* e /* f */ g */");
    }

    #[test]
    fn strings_hide_what_looks_like_code_or_comment() {
        let text = r###"a "b \" // c" d r#"e " f"# g br"h" i b'\'' j '"' k"###;
        assert_eq!(check(text, Part::Code), "a d g b i b j k");
        assert_eq!(check("r#type + for\"x\"", Part::Literal), "\"x\"");
    }

    #[test]
    fn a_lifetime_is_no_character() {
        assert_eq!(check("fn f<'a>(x: &'a str) {} // y", Part::Comment), "// y");
    }

    #[test]
    fn lines_keep_their_numbers() {
        let text = "\"one\ntwo\"\n/* three\n*/ four";
        assert_eq!(only(text, Part::Code).lines().count(), text.lines().count());
    }

    #[test]
    fn open_ended_text_ends_with_the_file() {
        for text in ["\"a", "/* a", "r#\"a", "'\\", "\"a\\"] {
            assert_eq!(only(text, Part::Code).trim(), "", "{text}");
        }
    }

    #[test]
    fn a_word_is_not_part_of_a_longer_one() {
        let has = |text| has_word(text, "unsafe", in_identifier);
        assert!(has("x = unsafe { y }"));
        assert!(has("#[unsafe(no_mangle)]"));
        assert!(!has("#![deny(unsafe_code)]"));
    }
}
