//! Glob patterns as Redis has them (`KEYS`, `SCAN MATCH`, `CONFIG GET`): `*`, `?`, `[a-z]`,
//! `[^a-z]` and `\` before a byte that stands for itself.
//!
//! Only the last `*` is ever tried again: what earlier ones took can stay as it is, because every
//! other element takes exactly one byte. So a match costs at most pattern × text steps.

/// Whether the whole of `text` matches `pattern`.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    matches_by(pattern, text, |byte| byte)
}

/// Whether the whole of `text` matches `pattern`, ASCII letters of either case being equal.
pub fn matches_ignoring_case(pattern: &[u8], text: &[u8]) -> bool {
    matches_by(pattern, text, |byte| byte.to_ascii_lowercase())
}

fn matches_by(pattern: &[u8], text: &[u8], fold: impl Fn(u8) -> u8) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on when the present attempt fails: behind the last star, one byte later.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            while pattern.get(p) == Some(&b'*') {
                p += 1;
            }
            if p == pattern.len() {
                return true;
            }
            retry = Some((p, t));
        }
        let next = match text.get(t) {
            None if p == pattern.len() => return true,
            // More stars cannot help: the text is used up, and what is left wants a byte.
            None => return false,
            Some(&byte) => match_one(&pattern[p..], fold(byte), &fold),
        };
        if let Some(taken) = next {
            p += taken;
            t += 1;
        } else if let Some((after_star, start)) = retry {
            p = after_star;
            t = start + 1;
            retry = Some((p, t));
        } else {
            return false;
        }
    }
}

/// Matches one byte against the element at the start of `pattern` (no star); gives the element's
/// length if they match.
fn match_one(pattern: &[u8], byte: u8, fold: impl Fn(u8) -> u8) -> Option<usize> {
    match *pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'[', ref class @ ..] => match_class(class, byte, fold).map(|length| length + 1),
        [b'\\', escaped, ..] => (fold(escaped) == byte).then_some(2),
        [literal, ..] => (fold(literal) == byte).then_some(1),
    }
}

/// Matches one byte against the inside of a class; gives the class' length, its `]` included. A
/// class without `]` ends with the pattern.
fn match_class(class: &[u8], byte: u8, fold: impl Fn(u8) -> u8) -> Option<usize> {
    let is_negated = class.first() == Some(&b'^');
    let mut at = usize::from(is_negated);
    let mut is_member = false;
    loop {
        at += match class[at..] {
            [] => break,
            [b']', ..] => {
                at += 1;
                break;
            }
            [b'\\', escaped, ..] => {
                is_member |= fold(escaped) == byte;
                2
            }
            [from, b'-', to, ..] => {
                let (from, to) = (fold(from), fold(to));
                is_member |= (from.min(to)..=from.max(to)).contains(&byte);
                3
            }
            [literal, ..] => {
                is_member |= fold(literal) == byte;
                1
            }
        };
    }
    (is_member != is_negated).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_match_as_in_redis() {
        let cases: &[(&str, &str, bool)] = &[
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("**", "abc", true),
            ("?", "", false),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h*llo", "hllo", true),
            ("h*llo", "heeeello", true),
            ("h*l*o", "hello", true),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-c]llo", "hbllo", true),
            ("h[c-a]llo", "hbllo", true),
            ("h[a-c]llo", "hdllo", false),
            ("[]", "]", false),
            ("[^]x", "ax", true),
            ("[a\\]]", "]", true),
            ("[abc", "c", true),
            ("[a-", "-", true),
            ("[a-]", "-", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a\\", "a\\", true),
            ("user:*:name", "user:7:name", true),
            ("user:*:name", "user:7:nam", false),
            ("*a*b", "xaxbxb", true),
            ("*aab", "aaaaab", true),
            ("a*", "b", false),
            ("abc*", "ab", false),
        ];
        for &(pattern, text, expected) in cases {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn case_is_ignored_only_when_asked() {
        assert!(!matches(b"MAX*", b"maxmemory"));
        assert!(matches_ignoring_case(b"MAX*", b"maxmemory"));
        assert!(matches_ignoring_case(b"[A-M]axm?MORY", b"maxmemory"));
    }

    #[test]
    fn many_stars_stay_cheap() {
        let pattern = b"a*".repeat(500);
        let text = vec![b'a'; 20_000];
        let mut misfit = pattern.clone();
        misfit.push(b'b');
        assert!(matches(&pattern, &text));
        assert!(!matches(&misfit, &text));
    }

    /// The definition, exponential and plain.
    fn slow(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], _) => text.is_empty(),
            ([b'*', rest @ ..], _) => (0..=text.len()).any(|n| slow(rest, &text[n..])),
            (_, []) => false,
            (_, [byte, after @ ..]) => match_one(pattern, *byte, |byte| byte)
                .is_some_and(|length| slow(&pattern[length..], after)),
        }
    }

    proptest! {
        #[test]
        fn the_quick_way_agrees_with_the_plain_one(
            pattern in "[ab*?\\[\\]^\\\\-]{0,8}", text in "[ab\\]-]{0,8}"
        ) {
            prop_assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                slow(pattern.as_bytes(), text.as_bytes())
            );
        }
    }
}
