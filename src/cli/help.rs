//! Help texts as the terminal is wide.
//!
//! The texts behind the options are written in lines of about a hundred letters. Clap breaks each line that
//! is longer than the terminal, and what is left over of it would be a line of one word.

use clap::Command;

/// The command and all below it, with the lines of their paragraphs joined, for clap to break.
pub fn with_flowing_texts(command: Command) -> Command {
    let text = command.get_after_help().map(ToString::to_string);
    let command = match text {
        Some(text) => command.after_help(flowing(&text)),
        None => command,
    };
    command.mut_subcommands(with_flowing_texts)
}

/// Lines that are indented, such as examples and exit codes, stay as they are.
fn flowing(text: &str) -> String {
    let mut flowing = String::new();
    let mut before = "";
    for (index, line) in text.lines().enumerate() {
        let is_of_paragraph = |line: &str| !line.is_empty() && !line.starts_with(' ');
        match is_of_paragraph(before) && is_of_paragraph(line) {
            true => flowing.push(' '),
            false if index > 0 => flowing.push('\n'),
            false => {}
        }
        flowing.push_str(line);
        before = line;
    }
    flowing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_flow_and_examples_stay() {
        let text = "Examples:\n  a --b\n  c\n\nOne\ntwo,\nthree.\n  d\nFour\nfive.";
        let expected = "Examples:\n  a --b\n  c\n\nOne two, three.\n  d\nFour five.";
        assert_eq!(flowing(text), expected);
    }

    #[test]
    fn no_word_is_left_over_from_the_line_before() {
        let below = Command::new("below")
            .term_width(60)
            .after_help(format!("{}\nend.", "word ".repeat(15).trim()));
        let program = Command::new("program").term_width(60).subcommand(below);
        let mut program = with_flowing_texts(program);
        program.build();
        let below = program.find_subcommand_mut("below").expect("a command");
        let help = below.render_help().to_string();
        let lines = help.trim_end().lines().rev().map(str::trim_end);
        let lines: Vec<&str> = lines.take(2).collect();
        assert_eq!(lines, ["word word word end.", "word ".repeat(12).trim()]);
    }
}
