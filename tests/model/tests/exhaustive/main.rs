//! Every order of steps, within bounds: nothing goes wrong, and without any one rule something does.

mod bounds;
mod possible;
mod rules;
mod safe;
