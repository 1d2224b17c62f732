//! Columns of the lake's files. Each is defined once: what it is called, what type it has, how it is
//! stored, and where a row has its value; writers and readers follow the same definition, and a test
//! compares it with `schemas/`.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Float32Array, Float64Array, Int8Array,
    Int16Array, Int32Array, RecordBatch, StringArray,
};
use arrow::datatypes::{DataType, Field, Int8Type, Schema, SchemaRef};

/// How a column is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storage {
    /// Names and other values that repeat.
    Dictionary,
    /// Integers that grow steadily.
    Delta,
    /// Floating-point numbers: bytes of equal rank side by side. On the demo video, compressed, half
    /// the size of dictionaries with plain values behind them.
    ByteStreamSplit,
}

/// A value of a column.
pub(super) trait Value: Copy + 'static {
    const DATA_TYPE: DataType;
    /// What suits most columns of the type.
    const STORAGE: Storage;

    fn array(values: impl Iterator<Item = Option<Self>>) -> ArrayRef;

    /// The value in a row, if there is one; `Err` where the array has another type.
    fn read(array: &dyn Array, row: usize) -> Result<Option<Self>, WrongType>;
}

/// A column of a batch has another type than its definition.
pub(super) struct WrongType;

macro_rules! value {
    ($($value:ty, $array:ty, $data_type:ident, $storage:ident;)*) => {$(
        impl Value for $value {
            const DATA_TYPE: DataType = DataType::$data_type;
            const STORAGE: Storage = Storage::$storage;

            fn array(values: impl Iterator<Item = Option<Self>>) -> ArrayRef {
                Arc::new(values.collect::<$array>())
            }

            fn read(array: &dyn Array, row: usize) -> Result<Option<Self>, WrongType> {
                let array: &$array = array.as_any().downcast_ref().ok_or(WrongType)?;
                Ok(array.is_valid(row).then(|| array.value(row)))
            }
        }
    )*};
}

value! {
    i8, Int8Array, Int8, Dictionary;
    i16, Int16Array, Int16, Dictionary;
    i32, Int32Array, Int32, Delta;
    f32, Float32Array, Float32, ByteStreamSplit;
    f64, Float64Array, Float64, ByteStreamSplit;
    bool, BooleanArray, Boolean, Dictionary;
}

type Write<R> = Box<dyn Fn(&[R]) -> ArrayRef>;
/// Puts what an array has in a row where it belongs; the error is a reason.
type Read<R> = Box<dyn Fn(&dyn Array, usize, &mut R) -> Result<(), String>>;

/// A column whose values come from rows of type `R`.
pub(super) struct Column<R> {
    pub name: &'static str,
    data_type: DataType,
    is_nullable: bool,
    storage: Storage,
    write: Write<R>,
    /// `None` for what need not be read to have the row.
    read: Option<Read<R>>,
}

impl<R> Column<R> {
    /// A column that always has a value.
    pub fn new<V: Value>(name: &'static str, get: impl Fn(&R) -> V + 'static) -> Self {
        let column = Self::optional(name, move |row| Some(get(row)));
        Self {
            is_nullable: false,
            ..column
        }
    }

    /// A column that is NULL where there is no value.
    pub fn optional<V: Value>(name: &'static str, get: impl Fn(&R) -> Option<V> + 'static) -> Self {
        Self {
            name,
            data_type: V::DATA_TYPE,
            is_nullable: true,
            storage: V::STORAGE,
            write: Box::new(move |rows| V::array(rows.iter().map(&get))),
            read: None,
        }
    }

    /// A column of names out of few: `position` is that of a row's name among them.
    pub fn name(
        name: &'static str,
        names: Vec<&'static str>,
        position: impl Fn(&R) -> Option<usize> + 'static,
    ) -> Self {
        Self {
            name,
            data_type: name_type(),
            is_nullable: true,
            storage: Storage::Dictionary,
            write: Box::new(move |rows| {
                dictionary(rows.iter().map(|row| Some(position(row)? as i8)), &names)
            }),
            read: None,
        }
    }

    /// A column of one text for all rows of a file.
    pub fn constant(name: &'static str, text: &str) -> Self {
        let text = text.to_owned();
        Self {
            name,
            data_type: name_type(),
            is_nullable: false,
            storage: Storage::Dictionary,
            write: Box::new(move |rows| {
                dictionary(std::iter::repeat_n(Some(0), rows.len()), &[&text])
            }),
            read: None,
        }
    }

    /// A column of texts.
    pub fn text(
        name: &'static str,
        get: impl for<'r> Fn(&'r R) -> Option<&'r str> + 'static,
    ) -> Self {
        Self {
            name,
            data_type: DataType::Utf8,
            is_nullable: true,
            storage: Storage::Dictionary,
            write: Box::new(move |rows| Arc::new(rows.iter().map(&get).collect::<StringArray>())),
            read: None,
        }
    }

    pub fn required(self) -> Self {
        Self {
            is_nullable: false,
            ..self
        }
    }

    pub fn stored(self, storage: Storage) -> Self {
        Self { storage, ..self }
    }

    /// Says where a value goes that is read.
    pub fn read_by<V: Value>(self, set: impl Fn(&mut R, Option<V>) + 'static) -> Self {
        let name = self.name;
        let read = move |array: &dyn Array, row: usize, target: &mut R| {
            set(
                target,
                V::read(array, row).map_err(|WrongType| wrong(name))?,
            );
            Ok(())
        };
        Self {
            read: Some(Box::new(read)),
            ..self
        }
    }

    /// The same for texts; `set` gives the reason why one cannot be taken.
    pub fn read_text_by(
        self,
        set: impl Fn(&mut R, Option<&str>) -> Result<(), String> + 'static,
    ) -> Self {
        let name = self.name;
        let read = move |array: &dyn Array, row: usize, target: &mut R| {
            let texts = array.as_string_opt::<i32>().ok_or_else(|| wrong(name))?;
            set(target, texts.is_valid(row).then(|| texts.value(row)))
        };
        Self {
            read: Some(Box::new(read)),
            ..self
        }
    }

    fn field(&self) -> Field {
        Field::new(self.name, self.data_type.clone(), self.is_nullable)
    }
}

/// What the columns of a file are called, how they are typed and stored.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub schema: SchemaRef,
    /// Of each column.
    pub storage: Vec<Storage>,
}

impl Layout {
    pub fn of<R>(columns: &[Column<R>]) -> Self {
        let fields: Vec<Field> = columns.iter().map(Column::field).collect();
        Self {
            schema: Arc::new(Schema::new(fields)),
            storage: columns.iter().map(|column| column.storage).collect(),
        }
    }

    /// The layout with those columns behind its own.
    pub fn followed_by(self, other: &Self) -> Self {
        let fields = self.schema.fields().iter().chain(other.schema.fields());
        Self {
            schema: Arc::new(Schema::new(fields.cloned().collect::<Vec<_>>())),
            storage: [self.storage, other.storage.clone()].concat(),
        }
    }
}

/// The columns of rows.
pub(super) fn arrays<R>(columns: &[Column<R>], rows: &[R]) -> Vec<ArrayRef> {
    columns.iter().map(|column| (column.write)(rows)).collect()
}

/// Rows as a batch of all their columns.
pub(super) fn batch<R>(columns: &[Column<R>], rows: &[R]) -> RecordBatch {
    batch_of(Layout::of(columns).schema, arrays(columns, rows))
}

pub(super) fn batch_of(schema: SchemaRef, arrays: Vec<ArrayRef>) -> RecordBatch {
    RecordBatch::try_new(schema, arrays).expect("arrays are built beside their schema")
}

/// A batch whose rows are read by their columns' definitions.
pub(super) struct Reader<'b, R> {
    columns: Vec<(&'b Read<R>, &'b dyn Array)>,
}

impl<'b, R> Reader<'b, R> {
    /// Columns that may be NULL may be missing, since lakes of older formats have fewer.
    ///
    /// # Errors
    /// The reason, when another column is missing.
    pub fn new(columns: &'b [Column<R>], batch: &'b RecordBatch) -> Result<Self, String> {
        let mut found = Vec::new();
        for column in columns {
            let Some(read) = &column.read else { continue };
            match batch.column_by_name(column.name) {
                Some(array) => found.push((read, &**array)),
                None if column.is_nullable => {}
                None => return Err(wrong(column.name)),
            }
        }
        Ok(Self { columns: found })
    }

    /// Fills `target` with what a row has.
    ///
    /// # Errors
    /// The reason, when a column has another type or a name that is unknown.
    pub fn read(&self, row: usize, target: &mut R) -> Result<(), String> {
        (self.columns.iter()).try_for_each(|(read, array)| read(*array, row, target))
    }
}

fn wrong(column: &str) -> String {
    format!("column {column} is missing or has another type")
}

fn name_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8))
}

fn dictionary(keys: impl Iterator<Item = Option<i8>>, names: &[&str]) -> ArrayRef {
    let keys: Int8Array = keys.collect();
    let names = Arc::new(StringArray::from(names.to_vec()));
    Arc::new(DictionaryArray::<Int8Type>::new(keys, names))
}
