//! Suggestions for misspelt names: "did you mean delaySeconds?".

/// Longer words are not compared: they are rarely misspellings, and the cost grows with the square of the length.
const COMPARED_BYTES_MAX: usize = 64;
/// Shorter words are not matched as parts of names: they begin or end too many of them.
const PART_BYTES_MIN: usize = 3;

/// The known name that is most similar to `given`, if one is similar enough. Case, hyphens and underscores do not
/// count, a part of a name matches the name (`delay` for `delaySeconds`), and one letter in three may be wrong.
pub fn near<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = folded(given);
    if given.is_empty() || given.len() > COMPARED_BYTES_MAX {
        return None;
    }
    let scored = known.into_iter().filter_map(|name| Some((score(&given, &folded(name))?, name)));
    scored.min_by_key(|(score, _)| *score).map(|(_, name)| name)
}

/// " (did you mean …?)" for the end of an error, or an empty string.
pub fn did_you_mean<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    near(given, known).map_or_else(String::new, |name| format!(" (did you mean {name}?)"))
}

fn folded(name: &str) -> Vec<u8> {
    name.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase()).collect()
}

/// The distance of a word from a name, if it is small enough. A word that is a part of the name is farther than any
/// misspelling.
fn score(given: &[u8], name: &[u8]) -> Option<usize> {
    let wrong = distance(given, name);
    if wrong <= (given.len().max(name.len()) / 3).max(1) {
        return Some(wrong);
    }
    let (short, long) = if given.len() < name.len() { (given, name) } else { (name, given) };
    let is_part = short.len() >= PART_BYTES_MIN && (long.starts_with(short) || long.ends_with(short));
    is_part.then_some(COMPARED_BYTES_MAX + long.len() - short.len())
}

/// The number of letters inserted, omitted, changed or swapped with their neighbour (optimal string alignment
/// distance).
fn distance(from: &[u8], to: &[u8]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (row, letter) in from.iter().enumerate() {
        let mut this = vec![row + 1];
        for (column, other) in to.iter().enumerate() {
            let changed = last[column] + usize::from(letter != other);
            let mut least = changed.min(last[column + 1] + 1).min(this[column] + 1);
            if row > 0 && column > 0 && *letter == to[column - 1] && from[row - 1] == *other {
                least = least.min(before_last[column - 1] + 1);
            }
            this.push(least);
        }
        before_last = std::mem::replace(&mut last, this);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: [&str; 5] = ["content", "content64", "delaySeconds", "idempotencyKey", "ttlSeconds"];

    #[test]
    fn a_misspelling_a_part_or_another_spelling_of_a_name_suggests_it() {
        for (given, meant) in [
            ("contnet", "content"),
            ("Content", "content"),
            ("content-64", "content64"),
            ("delay", "delaySeconds"),
            ("delay_seconds", "delaySeconds"),
            ("delaySecond", "delaySeconds"),
            ("key", "idempotencyKey"),
            ("ttl", "ttlSeconds"),
        ] {
            assert_eq!(near(given, FIELDS), Some(meant), "{given}");
        }
    }

    #[test]
    fn a_text_unlike_every_name_suggests_none() {
        let long = "content".repeat(100);
        for given in ["body", "x", "", "-", "priority", &long] {
            assert_eq!(near(given, FIELDS), None, "{given}");
        }
        assert_eq!(did_you_mean("body", FIELDS), "");
        assert_eq!(did_you_mean("ttl", FIELDS), " (did you mean ttlSeconds?)");
    }
}
