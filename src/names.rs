//! Choices by their names, as options and files have them.

/// The choice that is called `text`.
///
/// # Errors
/// When none is; the error names all that there are.
pub fn find<T: Copy>(
    choices: &[T],
    name: impl Fn(T) -> &'static str,
    text: &str,
) -> Result<T, String> {
    let found = choices.iter().copied().find(|choice| name(*choice) == text);
    found.ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|choice| name(*choice)).collect();
        format!("expected one of {}: {text}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_name_is_told_what_there_is() {
        let names = ["one", "two"];
        let find = |text| find(&[0, 1], |choice: usize| names[choice], text);
        assert_eq!(find("two"), Ok(1));
        assert_eq!(find("Two"), Err("expected one of one, two: Two".into()));
    }
}
