//! Takes comments, literals and test items out of Rust text, keeping lines and columns, so that
//! plain searches see code only.

/// Text with the places of literals and comments blanked; the comments by themselves.
#[derive(Debug, Default)]
pub(super) struct Masked {
    /// The code; everything else is spaces, lines stay lines.
    pub(super) code: String,
    /// The comments; everything else is spaces.
    pub(super) comments: String,
    /// An `x` where a literal stands; everything else is spaces.
    pub(super) literals: String,
}

/// Separates code from comments and drops literals.
pub(super) fn mask(text: &str) -> Masked {
    let chars: Vec<char> = text.chars().collect();
    let mut masked = Masked::default();
    let mut at = 0;
    while at < chars.len() {
        let (length, is_comment) = match token(&chars, at) {
            Token::Code => {
                masked.code.push(chars[at]);
                masked.comments.push(blank(chars[at]));
                masked.literals.push(blank(chars[at]));
                at += 1;
                continue;
            }
            Token::Comment(length) => (length, true),
            Token::Literal(length) => (length, false),
        };
        for &c in &chars[at..at + length] {
            let is_literal = !is_comment && c != '\n';
            masked
                .literals
                .push(if is_literal { 'x' } else { blank(c) });
            masked.code.push(blank(c));
            masked.comments.push(if is_comment { c } else { blank(c) });
        }
        at += length;
    }
    masked
}

fn blank(c: char) -> char {
    if c == '\n' { '\n' } else { ' ' }
}

enum Token {
    Code,
    Comment(usize),
    Literal(usize),
}

fn token(chars: &[char], at: usize) -> Token {
    let next = |ahead: usize| chars.get(at + ahead).copied().unwrap_or('\0');
    match (next(0), next(1)) {
        ('/', '/') => {
            let end = chars[at..].iter().position(|c| *c == '\n');
            Token::Comment(end.unwrap_or(chars.len() - at))
        }
        ('/', '*') => Token::Comment(block_comment(&chars[at..])),
        ('"', _) => Token::Literal(string(&chars[at..])),
        ('\'', _) => character(&chars[at..]).map_or(Token::Code, Token::Literal),
        ('r', '"' | '#') if !is_word(chars, at) => {
            raw_string(&chars[at..]).map_or(Token::Code, Token::Literal)
        }
        _ => Token::Code,
    }
}

/// Whether the character before continues a word; a raw string may follow `b`.
fn is_word(chars: &[char], at: usize) -> bool {
    let before = at.checked_sub(1).map_or(' ', |before| chars[before]);
    (before.is_alphanumeric() || before == '_') && before != 'b'
}

fn block_comment(chars: &[char]) -> usize {
    let (mut depth, mut at) = (0usize, 0);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at.min(chars.len())
}

fn string(chars: &[char]) -> usize {
    let mut at = 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// Length of a character literal; `None` for a lifetime.
fn character(chars: &[char]) -> Option<usize> {
    if chars.get(1) == Some(&'\\') {
        let end = chars.iter().skip(3).position(|c| *c == '\'')?;
        return Some(end + 4);
    }
    (chars.get(2) == Some(&'\'')).then_some(3)
}

fn raw_string(chars: &[char]) -> Option<usize> {
    let hashes = chars[1..].iter().take_while(|c| **c == '#').count();
    if chars.get(1 + hashes) != Some(&'"') {
        return None;
    }
    let mut at = 2 + hashes;
    while at < chars.len() {
        let tail = &chars[at + 1..];
        if chars[at] == '"' && tail.iter().take_while(|c| **c == '#').count() >= hashes {
            return Some(at + 1 + hashes);
        }
        at += 1;
    }
    Some(chars.len())
}

/// Blanks the items behind `#[cfg(test)]` and `#[cfg(any(test, ...))]` in masked code, and names
/// the modules among them that live in files of their own.
pub(super) fn without_tests(code: &str) -> (String, Vec<String>) {
    let mut out: Vec<char> = code.chars().collect();
    let mut files = Vec::new();
    let mut at = 0;
    while let Some(found) = find(&out, at, "#[cfg(") {
        at = found + 1;
        let inside: String = out[found + 6..].iter().take(9).collect();
        if !inside.starts_with("test)") && !inside.starts_with("any(test,") {
            continue;
        }
        let end = item_end(&out, found);
        let item: String = out[found..end].iter().collect();
        if let Some((_, name)) = item.split_once("mod ")
            && let Some(name) = name.trim_end().strip_suffix(';')
        {
            files.push(name.trim().to_owned());
        }
        for c in &mut out[found..end] {
            *c = blank(*c);
        }
        at = end;
    }
    (out.into_iter().collect(), files)
}

fn find(chars: &[char], from: usize, needle: &str) -> Option<usize> {
    let needle: Vec<char> = needle.chars().collect();
    (from..chars.len()).find(|at| chars[*at..].starts_with(&needle))
}

/// End of the item whose attributes begin at `from`: behind its `;`, or behind its braces.
fn item_end(chars: &[char], from: usize) -> usize {
    let (mut round, mut curly) = (0i32, 0i32);
    for (at, c) in chars.iter().enumerate().skip(from) {
        match c {
            '(' | '[' => round += 1,
            ')' | ']' => round -= 1,
            '{' => curly += 1,
            '}' => curly -= 1,
            _ => {}
        }
        let closed = *c == '}' && curly == 0 && round == 0;
        // A `use a::{b};` ends at the semicolon behind its brace.
        let goes_on = closed && chars.get(at + 1) == Some(&';');
        if (closed && !goes_on) || (*c == ';' && round == 0 && curly == 0) {
            return at + 1;
        }
    }
    chars.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_not_code() {
        let masked =
            mask("a(\"std::fs\", 'x', b\"q\\\"\", r#\"\"z\"#) // std::net\n/* /* y */ */ b<'a>");
        let code: String = masked.code.split_whitespace().collect();
        assert_eq!(code, "a(,,b,)b<'a>");
        assert!(masked.comments.contains("// std::net"));
        assert!(masked.comments.contains("/* y */"));
        assert!(!masked.comments.contains("std::fs"));
    }

    #[test]
    fn lines_and_columns_stay() {
        let text = "let a = \"x\ny\"; // ä\nlet b = 'ü';\n";
        let masked = mask(text);
        for part in [&masked.code, &masked.comments, &masked.literals] {
            let widths = |text: &str| text.lines().map(|l| l.chars().count()).collect::<Vec<_>>();
            assert_eq!(widths(text), widths(part));
        }
        assert_eq!(masked.code.lines().count(), text.lines().count());
    }

    #[test]
    fn test_items_are_left_out_and_their_files_named() {
        let code = "use a;\n#[cfg(test)]\nuse b::{c};\n#[cfg(test)]\nmod tests {\n fn f() { g() }\n}\n\
                    fn h() {}\n#[cfg(any(test, feature = \"x\"))]\nfn i() {}\n#[cfg(test)]\nmod other;\n";
        let (rest, files) = without_tests(&mask(code).code);
        assert_eq!(
            rest.split_whitespace().collect::<Vec<_>>(),
            ["use", "a;", "fn", "h()", "{}"]
        );
        assert_eq!(files, ["other"]);
    }
}
