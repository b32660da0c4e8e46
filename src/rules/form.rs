//! Which spellings a column's type refutes, before anything is read.

use crate::model::check::{Compare, FieldSpec, Form, Locator};
use crate::model::column::{Column, ColumnType};

/// Whether `spec` can be compared with `column` at all. The error says what is wrong and what to
/// write, for a fault at the field's line.
pub fn check_form(spec: &FieldSpec, column: &Column) -> Result<(), String> {
    let Some(form) = spec.form.or_else(|| form_of(column.kind)) else {
        return Err(format!(
            "column `{}` is {}: say how the cache spells it with as = \"hex\", \"base64\" or \"text\"",
            column.name,
            type_name(column.kind)
        ));
    };
    if !fits(form, column.kind) {
        return Err(format!(
            "column `{}` is {} and cannot be spelled as {}",
            column.name,
            type_name(column.kind),
            form_name(form)
        ));
    }
    let is_exact = spec.tolerance.is_none() && spec.scale.is_none();
    if column.kind == (ColumnType::Float { is_single: true }) && form == Form::Decimal && is_exact {
        return Err(format!(
            "column `{}` is a FLOAT, which MySQL prints with fewer digits than it holds: say tolerance or scale, \
             or make it a DOUBLE",
            column.name
        ));
    }
    check_settings(spec, form)
}

/// The form a column's type implies; `None` where it must be declared.
pub(super) fn form_of(column: ColumnType) -> Option<Form> {
    match column {
        ColumnType::Integer { .. } | ColumnType::Bit | ColumnType::Year => Some(Form::Integer),
        ColumnType::Decimal { .. } | ColumnType::Float { .. } => Some(Form::Decimal),
        ColumnType::Text | ColumnType::Enum | ColumnType::SetOf | ColumnType::Time => {
            Some(Form::Text)
        }
        ColumnType::DateTime | ColumnType::Timestamp => Some(Form::DateTime),
        ColumnType::Date => Some(Form::Date),
        ColumnType::Json => Some(Form::Json),
        ColumnType::Binary | ColumnType::Other => None,
    }
}

fn check_settings(spec: &FieldSpec, form: Form) -> Result<(), String> {
    let is_number = matches!(form, Form::Integer | Form::Decimal);
    let is_time = matches!(
        form,
        Form::DateTime | Form::Date | Form::EpochSeconds | Form::EpochMillis | Form::EpochMicros
    );
    let refuse = |setting: &str, needed: &str| {
        Err(format!(
            "`{setting}` needs {needed}, and this field is spelled as {}",
            form_name(form)
        ))
    };
    if spec.compare != Compare::Equal && !is_number && !is_time {
        return refuse("compare", "a number or a time");
    }
    if !spec.states.is_empty() && form != Form::Text {
        return refuse("states", "text");
    }
    if !spec.states.is_empty() && spec.compare != Compare::Equal {
        return Err("`states` and `compare` both order the field: keep one".to_owned());
    }
    if spec.tolerance.is_some() && !is_number {
        return refuse("tolerance", "a number");
    }
    if (spec.min.is_some() || spec.max.is_some()) && !is_number {
        return refuse("min/max", "a number");
    }
    if spec.balance && !is_number {
        return refuse("balance", "a number");
    }
    match spec.scale {
        Some(_) if !is_number && form != Form::DateTime => {
            return refuse("scale", "a number or a datetime");
        }
        Some(scale) if form == Form::DateTime && scale > 6 => {
            return Err("`scale` of a datetime is at most 6: MySQL keeps microseconds".to_owned());
        }
        _ => {}
    }
    if spec.time_zone.is_some() && !is_time {
        return refuse("time_zone", "a time");
    }
    let is_score_form = is_number || (is_time && !matches!(form, Form::DateTime | Form::Date));
    if spec.cache == Locator::Score && !is_score_form {
        return refuse("score", "a number or an epoch");
    }
    Ok(())
}

fn fits(form: Form, column: ColumnType) -> bool {
    use ColumnType as C;
    match form {
        Form::Text => column != C::Bit,
        Form::Integer | Form::Decimal => {
            matches!(
                column,
                C::Integer { .. }
                    | C::Decimal { .. }
                    | C::Float { .. }
                    | C::Text
                    | C::Bit
                    | C::Year
            )
        }
        Form::Bool => {
            matches!(
                column,
                C::Integer { .. } | C::Decimal { scale: 0 } | C::Bit | C::Text | C::Enum
            )
        }
        Form::DateTime
        | Form::Date
        | Form::EpochSeconds
        | Form::EpochMillis
        | Form::EpochMicros => {
            matches!(column, C::DateTime | C::Timestamp | C::Date | C::Text)
        }
        // MariaDB calls its JSON columns text or binary.
        Form::Json => matches!(column, C::Json | C::Text | C::Binary),
        Form::Hex | Form::Base64 => matches!(column, C::Binary | C::Bit | C::Text | C::Other),
    }
}

fn type_name(column: ColumnType) -> &'static str {
    match column {
        ColumnType::Integer { .. } => "an integer",
        ColumnType::Decimal { .. } => "a decimal",
        ColumnType::Float { .. } => "a floating-point number",
        ColumnType::Text => "text",
        ColumnType::Enum => "an ENUM",
        ColumnType::SetOf => "a SET",
        ColumnType::Binary => "binary",
        ColumnType::Bit => "a BIT field",
        ColumnType::Json => "JSON",
        ColumnType::DateTime => "a DATETIME",
        ColumnType::Timestamp => "a TIMESTAMP",
        ColumnType::Date => "a DATE",
        ColumnType::Time => "a TIME",
        ColumnType::Year => "a YEAR",
        ColumnType::Other => "of a type that is not compared by value",
    }
}

fn form_name(form: Form) -> &'static str {
    match form {
        Form::Text => "text",
        Form::Integer => "integer",
        Form::Decimal => "decimal",
        Form::Bool => "bool",
        Form::DateTime => "datetime",
        Form::Date => "date",
        Form::EpochSeconds => "epoch-s",
        Form::EpochMillis => "epoch-ms",
        Form::EpochMicros => "epoch-us",
        Form::Json => "json",
        Form::Hex => "hex",
        Form::Base64 => "base64",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing::*;

    #[test]
    fn a_float_needs_a_tolerance_and_a_double_does_not() {
        let column = |is_single| Column {
            name: "rating".into(),
            kind: ColumnType::Float { is_single },
            nullable: true,
            collation: None,
            zerofill: false,
            padded_to: None,
        };
        let exact = field(Locator::Whole, "rating");
        let rounded = FieldSpec {
            scale: Some(2),
            ..exact.clone()
        };
        assert!(check_form(&exact, &column(true)).is_err());
        assert_eq!(check_form(&rounded, &column(true)), Ok(()));
        assert_eq!(check_form(&exact, &column(false)), Ok(()));
    }
}
