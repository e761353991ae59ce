//! Rust text with its comments and literals blanked, so that a search for a word finds code only.

/// The text with every character inside a comment, string or character literal replaced by a space.
/// Line breaks stay, so that line numbers do.
pub(super) fn only(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_end(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// The lines, counted from 1, on which one of the words stands by itself.
pub(super) fn lines_with<'a>(code: &str, words: &[&'a str]) -> Vec<(usize, &'a str)> {
    let mut found = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let stands = |word: &str| {
            line.match_indices(word).any(|(at, _)| {
                let part_of_name = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
                !part_of_name(line[..at].chars().next_back()) && !part_of_name(line[at + word.len()..].chars().next())
            })
        };
        found.extend(words.iter().filter(|word| stands(word)).map(|word| (index + 1, *word)));
    }
    found
}

/// Where the comment or literal that begins at `at` ends; `at` itself when none begins there.
fn literal_end(chars: &[char], at: usize) -> usize {
    let is = |offset: usize, c: char| chars.get(at + offset) == Some(&c);
    match chars[at] {
        '/' if is(1, '/') => chars[at..].iter().position(|&c| c == '\n').map_or(chars.len(), |n| at + n),
        '/' if is(1, '*') => block_comment_end(chars, at),
        '"' => string_end(chars, at + 1),
        // No name can end right before a quote, so this needs no look back.
        'r' => raw_string_end(chars, at).unwrap_or(at),
        '\'' if is(1, '\\') => quote_end(chars, at + 3),
        // 'x' is a character; 'x without its second quote is a lifetime.
        '\'' if is(2, '\'') => at + 3,
        _ => at,
    }
}

fn block_comment_end(chars: &[char], at: usize) -> usize {
    let (mut depth, mut here) = (0, at);
    while here < chars.len() {
        match (chars[here], chars.get(here + 1)) {
            ('/', Some('*')) => (depth, here) = (depth + 1, here + 2),
            ('*', Some('/')) => (depth, here) = (depth - 1, here + 2),
            _ => here += 1,
        }
        if depth == 0 {
            return here;
        }
    }
    chars.len()
}

fn string_end(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

fn quote_end(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() && chars[at] != '\'' {
        at += 1;
    }
    (at + 1).min(chars.len())
}

/// The end of `r"..."` or `r#"..."#`; `None` when the `r` begins something else.
fn raw_string_end(chars: &[char], at: usize) -> Option<usize> {
    let hashes = chars[at + 1..].iter().take_while(|&&c| c == '#').count();
    let open = at + 1 + hashes;
    (chars.get(open) == Some(&'"')).then(|| {
        let closes = |here: usize| {
            chars[here] == '"' && chars[here + 1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes
        };
        (open + 1..chars.len()).find(|&here| closes(here)).map_or(chars.len(), |here| here + 1 + hashes)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<usize> {
        lines_with(&only(text), &["unsafe"]).into_iter().map(|(line, _)| line).collect()
    }

    #[test]
    fn words_in_comments_and_literals_are_not_code() {
        for text in [
            "// unsafe",
            "/* unsafe /* nested */ unsafe */",
            "\"unsafe\"",
            "\"a \\\" unsafe\"",
            "r\"unsafe\"",
            "r#\"a \" unsafe\"#",
            "br#\"unsafe\"#",
            "#![forbid(unsafe_code)]",
            "let unsafely = 1;",
        ] {
            assert!(found(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn code_after_a_literal_is_seen_on_its_line() {
        for text in [
            "/* a\n*/ unsafe {}",
            "\"a\\\\\"\n; unsafe {}",
            "fn f<'a>(c: &'a str)\n{ unsafe {} }",
            "match c { '\"' => 1,\n _ => unsafe { 2 } }",
            "match c { '\\'' => 1,\n _ => unsafe { 2 } }",
            "let r#type = 1;\nunsafe {}",
        ] {
            assert_eq!(found(text), [2], "{text}");
        }
    }

    #[test]
    fn a_file_that_ends_inside_a_literal_is_no_panic() {
        for text in ["\"abc", "\"abc\\", "/* abc", "r#\"abc", "'\\", "'\\n", "'", "r", "b'"] {
            only(text);
        }
    }
}
