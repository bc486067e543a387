//! The guards: which trees are taken.

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue};
use regex::{Regex, RegexBuilder};

use super::names::{HEAD, LINE, REGEX, Type};

/// Deepest tree.
const MAX_DEPTH: usize = 24;
/// Nodes of a tree that is asked once a sale, …
const MAX_NODES: usize = 400;
/// … and of one that is asked for each line.
const MAX_NODES_OF_LINE: usize = 40;
/// Times that a list may stand in one.
const MAX_LISTS: usize = 8;
/// Regular expressions of one.
const MAX_REGEXES: usize = 8;
/// Bytes of a compiled regular expression.
const MAX_REGEX: usize = 64 << 10;

/// What is taken.
pub(super) struct Checked {
    pub(super) tree: IdedExpr,
    pub(super) regexes: Vec<(String, Regex)>,
    pub(super) of_line: bool,
    pub(super) nodes: usize,
}

struct Checker {
    nodes: usize,
    comprehensions: usize,
    of_line: bool,
    regexes: Vec<(String, Regex)>,
    lists: usize,
    /// Names that the one comprehension brings.
    local: Vec<(String, Type)>,
}

type Typed = Result<Type, String>;

/// Checks a tree and makes regular expressions of it ready.
///
/// # Errors
/// Why it is refused.
pub(super) fn check(mut tree: IdedExpr) -> Result<Checked, String> {
    let mut checker = Checker { nodes: 0, comprehensions: 0, of_line: false, regexes: Vec::new(), lists: 0, local: Vec::new() };
    let made = checker.of(&mut tree, 0)?;
    if made != Type::Bool {
        return Err(format!("an expression says true or false; this one comes to {}", made.as_str()));
    }
    let most = if checker.of_line { MAX_NODES_OF_LINE } else { MAX_NODES };
    if checker.nodes > most {
        return Err(format!("this comes to {} parts and may come to {most}; say part of it with the typed conditions, or in rules of their own", checker.nodes));
    }
    if checker.of_line && (checker.comprehensions > 0 || checker.lists > 0) {
        return Err("an expression that looks at a line looks at no list of the sale: it is asked for each line".into());
    }
    Ok(Checked { nodes: checker.nodes, tree, regexes: checker.regexes, of_line: checker.of_line })
}

/// As much of a name as a finding repeats.
fn short(name: &str) -> String {
    name.chars().take(40).collect()
}

impl Checker {
    fn of(&mut self, tree: &mut IdedExpr, depth: usize) -> Typed {
        self.nodes += 1;
        if depth > MAX_DEPTH {
            return Err(format!("this is nested deeper than {MAX_DEPTH}"));
        }
        let regex = if let Expr::Call(call) = &tree.expr { self.regex(call)? } else { None };
        if let Some(name) = regex {
            tree.expr = Expr::Ident(name);
            return Ok(Type::Bool);
        }
        match &mut tree.expr {
            Expr::Literal(literal) => match literal {
                LiteralValue::Boolean(_) => Ok(Type::Bool),
                LiteralValue::Int(_) => Ok(Type::Int),
                LiteralValue::Double(_) => Ok(Type::Double),
                LiteralValue::String(_) => Ok(Type::Text),
                LiteralValue::Bytes(_) | LiteralValue::Null | LiteralValue::UInt(_) => Err("numbers, texts, true and false only: no bytes, no null, no 1u".into()),
            },
            Expr::Ident(name) => self.name(name),
            Expr::List(list) => {
                for element in &mut list.elements {
                    if self.of(element, depth + 1)? != Type::Text {
                        return Err("a list holds texts".into());
                    }
                }
                Ok(Type::List)
            }
            Expr::Call(call) => self.call(call, depth),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension, depth),
            Expr::Select(select) => Err(format!("there is nothing with a part called .{}; the names are plain, such as total or channel", short(&select.field))),
            Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => Err("no maps and no structures".into()),
        }
    }

    fn name(&mut self, name: &str) -> Typed {
        if let Some((_, known)) = self.local.iter().rev().find(|(local, _)| local == name) {
            return Ok(*known);
        }
        let of_line = LINE.iter().find(|(known, _)| *known == name);
        self.of_line |= of_line.is_some();
        let found = of_line.or_else(|| HEAD.iter().find(|(known, _)| *known == name));
        if found.is_some_and(|(_, known)| *known == Type::List) {
            // Each is made anew where it stands.
            self.lists += 1;
            if self.lists > MAX_LISTS || !self.local.is_empty() {
                return Err(format!("segments, regions and tenders stand {MAX_LISTS} times at most, and not within exists or all"));
            }
        }
        found.map(|(_, known)| *known).ok_or_else(|| {
            let known: Vec<&str> = HEAD.iter().chain(&LINE).map(|(name, _)| *name).collect();
            format!("there is no {:?}; the names are {}", short(name), known.join(", "))
        })
    }

    /// `name.matches("…")`: a regular expression is written out, and looks at a name, so that it is compiled once.
    fn regex(&mut self, call: &CallExpr) -> Result<Option<String>, String> {
        if call.func_name != "matches" {
            return Ok(None);
        }
        let how = || "matches is written as name.matches(\"a regular expression\"), such as sku.matches(\"^10[0-9]+$\")".to_owned();
        let (of, text) = match (call.target.as_deref().map(|target| &target.expr), call.args.as_slice()) {
            (Some(Expr::Ident(of)), [IdedExpr { expr: Expr::Literal(LiteralValue::String(text)), .. }]) => (of, text.inner()),
            _ => return Err(how()),
        };
        if self.local.iter().any(|(local, _)| local == of) || self.name(of)? != Type::Text {
            return Err(how());
        }
        let regex = RegexBuilder::new(text).size_limit(MAX_REGEX).dfa_size_limit(MAX_REGEX).build();
        let regex = regex.map_err(|error| format!("this regular expression is refused: {}", error.to_string().lines().last().unwrap_or_default()))?;
        if self.regexes.len() >= MAX_REGEXES {
            return Err(format!("at most {MAX_REGEXES} regular expressions; one may hold several with a | between"));
        }
        self.regexes.push((of.clone(), regex));
        Ok(Some(format!("{REGEX}{}", self.regexes.len() - 1)))
    }

    fn call(&mut self, call: &mut CallExpr, depth: usize) -> Typed {
        let mut types = Vec::with_capacity(call.args.len() + 1);
        for part in call.target.as_deref_mut().into_iter().chain(&mut call.args) {
            types.push(self.of(part, depth + 1)?);
        }
        let numbers = |types: &[Type]| types.iter().all(|of| matches!(of, Type::Int | Type::Double));
        match (call.func_name.as_str(), call.target.is_some(), types.as_slice()) {
            ("_&&_" | "_||_", false, [Type::Bool, Type::Bool]) | ("!_" | "@not_strictly_false", false, [Type::Bool]) => Ok(Type::Bool),
            ("_==_" | "_!=_", false, [a, b]) if a == b || numbers(&types) => Ok(Type::Bool),
            ("_<_" | "_<=_" | "_>_" | "_>=_", false, [a, b]) if numbers(&types) || (a == b && *a == Type::Text) => Ok(Type::Bool),
            ("_+_" | "_-_" | "_*_" | "_/_", false, [a, b]) if a == b && numbers(&types) => Ok(*a),
            ("_%_", false, [Type::Int, Type::Int]) => Ok(Type::Int),
            ("-_", false, [of @ (Type::Int | Type::Double)]) => Ok(*of),
            ("_+_", false, [Type::Text, Type::Text]) => Ok(Type::Text),
            ("_?_:_", false, [Type::Bool, a, b]) if a == b => Ok(*a),
            ("@in", false, [Type::Text, Type::List]) => Ok(Type::Bool),
            ("startsWith" | "endsWith" | "contains", true, [Type::Text, Type::Text]) => Ok(Type::Bool),
            ("size", _, [Type::Text | Type::List]) => Ok(Type::Int),
            ("double", false, [Type::Int]) => Ok(Type::Double),
            (name, ..) => {
                let parts: Vec<&str> = types.iter().map(|of| of.as_str()).collect();
                let name = short(name.trim_matches('_').trim_start_matches('@'));
                Err(format!("{name:?} cannot be used on {}; a whole number becomes one with decimals by double(…)", if parts.is_empty() { "nothing".to_owned() } else { parts.join(" and ") }))
            }
        }
    }

    /// `list.exists(x, …)` and `list.all(x, …)`, as CEL writes them out.
    fn comprehension(&mut self, made: &mut ComprehensionExpr, depth: usize) -> Typed {
        self.comprehensions += 1;
        if self.comprehensions > 1 {
            return Err("at most one exists or all; several rules say the rest".into());
        }
        if made.iter_var2.is_some() || !matches!(made.accu_init.expr, Expr::Literal(LiteralValue::Boolean(_))) {
            return Err("of the macros exists and all only".into());
        }
        if self.of(&mut made.iter_range, depth + 1)? != Type::List {
            return Err("exists and all look through a list: segments, regions or tenders".into());
        }
        self.local = vec![(made.iter_var.clone(), Type::Text), (made.accu_var.clone(), Type::Bool)];
        for part in [&mut made.loop_cond, &mut made.loop_step, &mut made.result] {
            if self.of(part, depth + 1)? != Type::Bool {
                return Err("exists and all ask for true or false".into());
            }
        }
        self.local.clear();
        Ok(Type::Bool)
    }
}
