//! A date or a moment as an operator writes it, as seconds since the Unix epoch. Knows the calendar, no clock.

use toml::value::{Datetime, Offset};

/// Seconds since the Unix epoch of a TOML date (its first second, UTC) or of a TOML date and time; without an offset UTC
/// is meant. `None` for a mere time, or a moment before 1970.
pub(super) fn seconds(moment: &Datetime) -> Option<u64> {
    let date = moment.date?;
    let days = days_from_civil(
        i64::from(date.year),
        i64::from(date.month),
        i64::from(date.day),
    );
    let mut total = days * 86_400;
    if let Some(time) = moment.time {
        total += i64::from(time.hour) * 3_600 + i64::from(time.minute) * 60;
        total += i64::from(time.second.unwrap_or(0));
    }
    if let Some(Offset::Custom { minutes }) = moment.offset {
        total -= i64::from(minutes) * 60;
    }
    u64::try_from(total).ok()
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. Years are counted from March, so that the leap day is the
/// last day of a year; 400 years have 146,097 days.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<u64> {
        seconds(&text.parse().unwrap())
    }

    #[test]
    fn dates_and_times_are_counted_from_1970() {
        let table = [
            ("1970-01-01", Some(0)),
            ("2000-02-29", Some(951_782_400)),
            ("2026-12-31", Some(1_798_675_200)),
            ("2100-03-01", Some(4_107_542_400)),
            ("2026-12-31T23:59:59Z", Some(1_798_761_599)),
            ("2026-12-31T23:59:59", Some(1_798_761_599)),
            ("2027-01-01T07:59:59+08:00", Some(1_798_761_599)),
            ("12:00:00", None),
            ("1969-12-31", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
