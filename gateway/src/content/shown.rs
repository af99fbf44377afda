//! What a client shows and opens of a content: whether its texts and links are fit for that, and whether there is enough.

use waybill_core::content::{
    ContentType, Element, Field, Kind as Type, MIX_TYPES, NOTICE_TYPE, Need,
};

use crate::error::{Error, Kind};
use crate::openim::go::members::{Raw, Value};
use crate::openim::go::text::unquote;
use crate::openim::go::weak::{Decoded, Path, Step, given, named};

/// Checks the texts of an element by their meaning. Every spelling of a key and every repetition counts, because readers differ
/// in which of them they take.
pub(super) fn fit(
    object: Value<'_, '_>,
    element: &'static Element,
    parent: Option<&Path<'_>>,
) -> Result<(), Error> {
    let mut expected = 0;
    for (key, value) in object.members() {
        let Some((index, _)) = named(element, &key, expected) else {
            continue;
        };
        expected = index + 1;
        let Some(field) = element.fields.get(index) else {
            continue;
        };
        let path = Path::new(parent, Step::Field(field.json));
        match (field.kind, value.raw()) {
            (Type::Text, Raw::String(raw)) => {
                let checked = field.meaning.check(&unquote(raw));
                checked.map_err(|unfit| broken(&path, &format!("{} {unfit}", field.json)))?;
            }
            (Type::Element(inner), Raw::Object) => fit(value, inner, Some(&path))?,
            (Type::Elements(inner), Raw::Array) => {
                for (index, one) in value.elements().enumerate() {
                    fit(
                        one,
                        inner,
                        Some(&Path::new(Some(&path), Step::Index(index))),
                    )?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Checks that a content has what a client cannot show it without; and a notice what its `mixType` speaks of.
pub(super) fn whole(
    row: &ContentType,
    object: Value<'_, '_>,
    decoded: &Decoded,
) -> Result<(), Error> {
    enough(object, row.element, None)?;
    if row.number != NOTICE_TYPE {
        return Ok(());
    }
    let mix = decoded.number(row.element, "mixType");
    let needs = usize::try_from(mix).ok().and_then(|mix| MIX_TYPES.get(mix));
    let Some(needs) = needs else {
        let last = MIX_TYPES.len() - 1;
        let path = Path::new(None, Step::Field("mixType"));
        return Err(broken(&path, &format!("mixType is 0 to {last}")));
    };
    let needed = given(object, row.element).filter(|(field, _)| needs.contains(&field.json));
    for (field, value) in needed {
        let path = Path::new(None, Step::Field(field.json));
        let missing = format!("mixType {mix} needs {}", field.json);
        there(field, value, &path, &missing)?;
    }
    Ok(())
}

fn enough(
    object: Value<'_, '_>,
    element: &'static Element,
    parent: Option<&Path<'_>>,
) -> Result<(), Error> {
    let shown = given(object, element).filter(|(field, _)| field.need == Need::Shown);
    for (field, value) in shown {
        let path = Path::new(parent, Step::Field(field.json));
        let missing = format!("{} is missing: there is nothing to show", field.json);
        there(field, value, &path, &missing)?;
    }
    Ok(())
}

/// Whether a value is there, is not empty, and has within it what it needs itself.
fn there(
    field: &'static Field,
    value: Option<Value<'_, '_>>,
    path: &Path<'_>,
    missing: &str,
) -> Result<(), Error> {
    match (field.kind, value.map(|value| (value, value.raw()))) {
        (_, None | Some((_, Raw::Null | Raw::String("")))) => Err(broken(path, missing)),
        (Type::Element(inner), Some((value, _))) => enough(value, inner, Some(path)),
        _ => Ok(()),
    }
}

fn broken(path: &Path<'_>, text: &str) -> Error {
    let pointer = format!("/content{}", path.pointer());
    Error::at(Kind::ContentRules, pointer, text.to_owned())
}
