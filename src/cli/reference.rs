//! `posedata reference`: the options of all commands, or the lake's tables, as Markdown. The files in
//! `docs/` are made by it, so it says the same on every machine.

use std::fmt::Write;

use clap::{Arg, Args, Command};

use super::{ExitStatus, print_result};
use crate::lake::{TableDescription, describe_tables};

/// Print the reference of all commands as Markdown
#[derive(Args)]
pub struct ReferenceArgs {
    /// Print the lake's tables with their columns instead
    #[arg(long)]
    tables: bool,
}

pub fn run(args: &ReferenceArgs, program: Command) -> anyhow::Result<ExitStatus> {
    let text = if args.tables {
        tables_text(&describe_tables()?)
    } else {
        commands_text(program)
    };
    print_result(text.trim_end())?;
    Ok(ExitStatus::Success)
}

fn commands_text(mut program: Command) -> String {
    program.build();
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_commands(&mut text, &mut program);
    text
}

fn write_commands(out: &mut String, program: &mut Command) -> std::fmt::Result {
    writeln!(
        out,
        "# Commands\n\nMade by `make docs` from the program itself; `posedata COMMAND --help` says the same.\n"
    )?;
    writeln!(out, "| command | does |\n| --- | --- |")?;
    for command in shown(program) {
        let name = format!("posedata {}", command.get_name());
        let about = command
            .get_about()
            .map_or_else(String::new, ToString::to_string);
        writeln!(out, "| [`{name}`](#{}) | {} |", slug(&name), cell(&about))?;
    }
    writeln!(out, "\n## Options of all commands\n")?;
    let globals: Vec<&Arg> = (program.get_arguments())
        .filter(|arg| arg.is_global_set() && !arg.is_hide_set() && !is_of_clap(arg))
        .collect();
    write_options(out, &globals)?;
    if let Some(more) = program.get_after_help() {
        writeln!(out, "```text\n{}\n```\n", more.to_string().trim_end())?;
    }
    let names: Vec<String> = shown(program)
        .map(|command| command.get_name().to_owned())
        .collect();
    for name in names {
        if let Some(command) = program.find_subcommand_mut(&name) {
            write_command(out, command, &format!("posedata {name}"), 2)?;
        }
    }
    Ok(())
}

/// The commands that are there to be used, in the order of the program's own help.
fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    let commands = command.get_subcommands();
    commands.filter(|command| !command.is_hide_set() && command.get_name() != "help")
}

fn write_command(
    out: &mut String,
    command: &mut Command,
    name: &str,
    level: usize,
) -> std::fmt::Result {
    writeln!(out, "{} {name}\n", "#".repeat(level))?;
    let about = command.get_long_about().or(command.get_about());
    if let Some(about) = about {
        writeln!(out, "{}\n", prose(&about.to_string()))?;
    }
    let usage = command.render_usage().to_string();
    let usage = usage.trim().trim_start_matches("Usage:").trim_start();
    writeln!(out, "```text\n{usage}\n```\n")?;
    let own: Vec<&Arg> = (command.get_arguments())
        .filter(|arg| !arg.is_global_set() && !arg.is_hide_set() && !is_of_clap(arg))
        .collect();
    let (arguments, options): (Vec<&Arg>, Vec<&Arg>) =
        own.into_iter().partition(|arg| arg.is_positional());
    write_options(out, &arguments)?;
    let mut headings: Vec<Option<&str>> = Vec::new();
    for option in &options {
        if !headings.contains(&option.get_help_heading()) {
            headings.push(option.get_help_heading());
        }
    }
    for heading in headings {
        if let Some(heading) = heading {
            writeln!(out, "**{heading}**\n")?;
        }
        let of_heading = options.iter().copied();
        let of_heading: Vec<&Arg> = of_heading
            .filter(|option| option.get_help_heading() == heading)
            .collect();
        write_options(out, &of_heading)?;
    }
    if let Some(more) = command
        .get_after_long_help()
        .or_else(|| command.get_after_help())
    {
        writeln!(out, "```text\n{}\n```\n", more.to_string().trim_end())?;
    }
    let names: Vec<String> = shown(command)
        .map(|command| command.get_name().to_owned())
        .collect();
    for subcommand in names {
        if let Some(command) = command.find_subcommand_mut(&subcommand) {
            write_command(out, command, &format!("{name} {subcommand}"), level + 1)?;
        }
    }
    Ok(())
}

/// Help and version, which clap adds to every command.
fn is_of_clap(arg: &Arg) -> bool {
    ["help", "version"].contains(&arg.get_id().as_str())
}

fn write_options(out: &mut String, options: &[&Arg]) -> std::fmt::Result {
    let Some(first) = options.first() else {
        return Ok(());
    };
    let kind = if first.is_positional() {
        "argument"
    } else {
        "option"
    };
    writeln!(out, "| {kind} | default | meaning |\n| --- | --- | --- |")?;
    for option in options {
        writeln!(
            out,
            "| {} | {} | {} |",
            code(&names(option)),
            default(option),
            meaning(option)
        )?;
    }
    writeln!(out)
}

/// An option as it is given: its names and its value.
fn names(arg: &Arg) -> String {
    let mut names = Vec::new();
    names.extend(arg.get_short().map(|short| format!("-{short}")));
    names.extend(arg.get_long().map(|long| format!("--{long}")));
    let aliases = arg.get_visible_aliases().unwrap_or_default();
    names.extend(aliases.into_iter().map(|alias| format!("--{alias}")));
    let mut text = names.join(", ");
    if arg.get_action().takes_values() {
        let values: Vec<String> = match arg.get_value_names() {
            Some(values) => values.iter().map(ToString::to_string).collect(),
            None => vec![arg.get_id().as_str().to_uppercase()],
        };
        let values = values.join(" ");
        let range = arg.get_num_args();
        let is_optional = range.is_some_and(|range| range.min_values() == 0);
        let value = if is_optional && !arg.is_positional() {
            format!("[{values}]")
        } else {
            values
        };
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&value);
        if range.is_some_and(|range| range.max_values() > 1)
            || matches!(arg.get_action(), clap::ArgAction::Append)
        {
            text.push_str("...");
        }
    }
    text
}

fn default(arg: &Arg) -> String {
    if !arg.get_action().takes_values() {
        return String::new();
    }
    if arg.is_required_set() {
        return "required".into();
    }
    let values = arg.get_default_values().iter();
    let values: Vec<String> = values.map(|v| code(&v.to_string_lossy())).collect();
    values.join(", ")
}

fn meaning(arg: &Arg) -> String {
    let help = arg.get_long_help().or(arg.get_help());
    let mut text = cell(&help.map_or_else(String::new, ToString::to_string));
    if arg.get_action().takes_values() {
        let values = arg.get_possible_values();
        let values = values.iter().filter(|value| !value.is_hide_set());
        for value in values {
            text.push_str("<br>");
            text.push_str(&code(value.get_name()));
            if let Some(help) = value.get_help() {
                text.push_str(": ");
                text.push_str(&cell(&help.to_string()));
            }
        }
    }
    if let Some(variable) = arg.get_env() {
        let variable = code(&variable.to_string_lossy());
        text.push_str(&format!("<br>Environment variable: {variable}"));
    }
    text
}

fn tables_text(tables: &[TableDescription]) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_tables(&mut text, tables);
    text
}

fn write_tables(out: &mut String, tables: &[TableDescription]) -> std::fmt::Result {
    writeln!(
        out,
        "# The lake's tables\n\nLake format {}.\nMade by `make docs` from the files in `schemas/`; `posedata query -e \"describe metrics\"` lists the columns of a lake.\nWhere a column may be NULL, its comment says when; the [lake's format](lake-format.md) says how the tables lie on the disk.\n",
        crate::lake::FORMAT_VERSION
    )?;
    for table in tables {
        writeln!(out, "## {}\n\n{}\n", table.name, prose(&table.comment))?;
        if let Some(column) = &table.partition {
            writeln!(out, "Partitioned by `{column}`.\n")?;
        }
        if table.columns.is_empty() {
            continue;
        }
        writeln!(
            out,
            "| column | type | NULL | meaning |\n| --- | --- | --- | --- |"
        )?;
        for column in &table.columns {
            let nullable = if column.is_nullable { "yes" } else { "never" };
            writeln!(
                out,
                "| `{}` | {} | {nullable} | {} |",
                column.name,
                column.data_type,
                cell(&column.comment)
            )?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Text between paragraphs' ends, on one line, with nothing that Markdown takes for its own.
fn prose(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut escaped = String::new();
    let mut is_code = false;
    for c in words.join(" ").chars() {
        match c {
            '`' => is_code = !is_code,
            '<' | '*' | '[' | ']' if !is_code => escaped.push('\\'),
            _ => {}
        }
        escaped.push(c);
    }
    escaped
}

/// Text of a table's cell.
fn cell(text: &str) -> String {
    prose(text).replace('|', "\\|")
}

/// A name as code in a table's cell.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}

/// The name under which a heading can be linked to.
fn slug(heading: &str) -> String {
    heading.to_lowercase().replace(' ', "-")
}
