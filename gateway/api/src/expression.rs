//! Conditions in CEL (<https://cel.dev>), behind guards: CEL itself has neither a limit of cost nor a check of types.
//!
//! What is saved is short, shallow, of known names and functions, checked for types, and of bounded cost; a regular
//! expression stands in it as text and is compiled once. So nothing that is written here can stop a node, and a misspelt name
//! is a finding when it is saved, not a rule that never holds.

mod check;
mod names;

use std::sync::Arc;

use cel::common::ast::IdedExpr;
use cel::{Context, Env, Value};
use regex::Regex;
use tessera_domain::rules::{Expression, Sight};

use self::names::Seen;

/// Bytes of one expression, at most.
pub const MAX_BYTES: usize = 1_024;
/// Stack of the thread that parses and checks; CEL's own parser is recursive.
const STACK: usize = 16 << 20;

/// An expression, ready to be asked.
struct Compiled {
    text: Box<str>,
    /// With each `name.matches("…")` in the form of a name of ours, whose value [`Seen`] works out.
    tree: IdedExpr,
    regexes: Vec<(String, Regex)>,
    nodes: usize,
    of_line: bool,
    env: Arc<Env>,
}

impl std::fmt::Debug for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl Expression for Compiled {
    fn of_line(&self) -> bool {
        self.of_line
    }

    fn parts(&self) -> (usize, usize) {
        (self.nodes, self.regexes.len())
    }

    fn holds(&self, sight: &Sight<'_>, line: Option<usize>) -> bool {
        let seen = Seen { sight, line, regexes: &self.regexes };
        let mut context = Context::with_env(self.env.clone());
        context.set_variable_resolver(&seen);
        matches!(context.resolve(&self.tree), Ok(Value::Bool(true)))
    }
}

/// Compiles an expression.
///
/// # Errors
/// Why it is refused, and what to do.
pub fn compile(text: &str) -> Result<Arc<dyn Expression>, String> {
    if text.len() > MAX_BYTES {
        return Err(format!("an expression has at most {MAX_BYTES} bytes"));
    }
    let owned = text.to_owned();
    // A thread of its own, with room for the deepest tree that so few bytes can make.
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(move || {
        let program = cel::Program::compile(&owned).map_err(|errors| format!("this is not CEL: {}", first_line(&errors.to_string())))?;
        check::check(program.expression().clone())
    });
    let checked = thread.map_err(|e| e.to_string())?.join().map_err(|_| "this is not CEL".to_owned())??;
    Ok(Arc::new(Compiled { text: text.into(), tree: checked.tree, regexes: checked.regexes, nodes: checked.nodes, of_line: checked.of_line, env: env() }))
}

/// The standard functions, made once.
fn env() -> Arc<Env> {
    static ENV: std::sync::OnceLock<Arc<Env>> = std::sync::OnceLock::new();
    ENV.get_or_init(|| Arc::new(Env::stdlib())).clone()
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(200).collect()
}

#[cfg(test)]
mod tests;
