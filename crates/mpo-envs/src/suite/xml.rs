//! Edits of model text. The suite's files are plain MJCF without CDATA, entities or `>` inside attributes, so that
//! finding tags needs no parser.

/// Removes all textures, and the materials' references to them. The 800x800 skybox alone takes 50 times as long to
/// make as everything else in a model, and nothing of it reaches the physics.
pub(crate) fn without_textures(text: &str) -> String {
    edit_tags(text, |name, tag| match name {
        "texture" => Some(String::new()),
        "material" => with_attribute(tag, "texture", |_| String::new()),
        _ => None,
    })
}

/// Replaces every tag for which `edit`, given the element's name and the whole tag, returns something.
pub(crate) fn edit_tags(text: &str, edit: impl Fn(&str, &str) -> Option<String>) -> String {
    let mut result = String::with_capacity(text.len());
    for piece in Pieces(text) {
        let (Piece::Tag(text) | Piece::Other(text)) = piece;
        let edited = if let Piece::Tag(tag) = piece { edit(tag_name(tag), tag) } else { None };
        result.push_str(edited.as_deref().unwrap_or(text));
    }
    result
}

/// The tag with what `replace` makes of the attribute's value, `None` without such an attribute. An attribute that is
/// replaced by nothing goes.
pub(crate) fn with_attribute(tag: &str, name: &str, replace: impl Fn(&str) -> String) -> Option<String> {
    let start = tag.find(&format!(" {name}=\""))?;
    let value = start + name.len() + 3;
    let end = value + tag[value..].find('"')?;
    let new = replace(&tag[value..end]);
    let attribute = if new.is_empty() { new } else { format!(" {name}=\"{new}\"") };
    Some(format!("{}{attribute}{}", &tag[..start], &tag[end + 1..]))
}

/// Removes the first body called `name`, with everything inside it.
pub(crate) fn without_body(text: &str, name: &str) -> String {
    let attribute = format!("name=\"{name}\"");
    let mut result = String::with_capacity(text.len());
    // How many bodies deep the walk is inside the one to remove; `None` before it and `Some(0)` after it.
    let mut depth: Option<u32> = None;
    for piece in Pieces(text) {
        let (Piece::Tag(text) | Piece::Other(text)) = piece;
        let tag = if let Piece::Tag(tag) = piece { tag_name(tag) } else { "" };
        let children = u32::from(!text.ends_with("/>"));
        match (depth, tag) {
            (None, "body") if text.contains(&attribute) => depth = Some(children),
            (Some(level @ 1..), "body") => depth = Some(level + children),
            (Some(level @ 1..), "/body") => depth = Some(level - 1),
            (Some(1..), _) => {}
            (None | Some(0), _) => result.push_str(text),
        }
    }
    result
}

/// A stretch of XML: a tag with its angle brackets, or the text or comment between two tags.
enum Piece<'a> {
    Tag(&'a str),
    Other(&'a str),
}

struct Pieces<'a>(&'a str);

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        if self.0.is_empty() {
            return None;
        }
        let comment = self.0.starts_with("<!--");
        let tag = self.0.starts_with('<') && !comment;
        let end = if comment {
            self.0.find("-->").map(|at| at + 3)
        } else if tag {
            self.0.find('>').map(|at| at + 1)
        } else {
            self.0.find('<')
        };
        let (piece, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        Some(if tag { Piece::Tag(piece) } else { Piece::Other(piece) })
    }
}

/// The element's name; for a closing tag it starts with a slash.
fn tag_name(tag: &str) -> &str {
    let inner = tag.trim_start_matches('<');
    inner.split(|c: char| c.is_whitespace() || c == '>').next().unwrap_or_default().trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_goes_with_those_inside_it() {
        let text = r#"<body name="a"/><body name="peg"><body name="tip"></body><body name="end"/><geom/></body><!-- </body> --><body name="b"/>"#;
        assert_eq!(without_body(text, "peg"), r#"<body name="a"/><!-- </body> --><body name="b"/>"#);
        assert_eq!(without_body(text, "cup"), text);
    }

    #[test]
    fn textures_and_references_to_them_go_and_the_rest_stays() {
        let text = r#"<mujoco>
  <!-- <texture name="commented"/> -->
  <asset><texture name="grid" width="300"
     height="300"/><material name="grid" texture="grid" texrepeat="1 1"/><material name="self" rgba="1 1 1 1"/></asset>
</mujoco>
"#;
        let expected = r#"<mujoco>
  <!-- <texture name="commented"/> -->
  <asset><material name="grid" texrepeat="1 1"/><material name="self" rgba="1 1 1 1"/></asset>
</mujoco>
"#;
        assert_eq!(without_textures(text), expected);
    }
}
