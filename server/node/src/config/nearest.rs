//! "Did you mean": the known name with the fewest edits to what was written.

/// Gives the nearest of `names` if it is near: at most one edit for each three letters.
pub(super) fn nearest(
    written: &str,
    names: impl Iterator<Item = &'static str>,
) -> Option<&'static str> {
    let edits_max = (written.len() / 3).clamp(1, 4);
    names
        .filter(|name| name.len().abs_diff(written.len()) <= edits_max)
        .map(|name| (edits(written.as_bytes(), name.as_bytes()), name))
        .filter(|(edits, _)| *edits <= edits_max)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, name)| name)
}

/// Counts the insertions, removals, replacements and swaps of neighbours that lead from one to
/// the other (the restricted Damerau-Levenshtein distance).
fn edits(from: &[u8], to: &[u8]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, byte) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, other) in to.iter().enumerate() {
            let mut best = (last[j] + usize::from(byte != other))
                .min(last[j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && from[i - 1] == *other && to[j - 1] == *byte {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_near_and_another_word_is_not() {
        let names = ["port", "bind", "maxmemory", "replica-priority"];
        let cases = [
            ("prot", Some("port")),
            ("prt", Some("port")),
            ("bnid", Some("bind")),
            ("max_memory", Some("maxmemory")),
            ("replica-prioritty", Some("replica-priority")),
            ("color", None),
            ("", None),
        ];
        for (written, expected) in cases {
            assert_eq!(nearest(written, names.into_iter()), expected, "{written}");
        }
    }
}
