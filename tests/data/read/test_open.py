import duckdb
import numpy as np
import pytest

from fathom.data.read.open import open_source
from fathom.errors import DataError, UsageError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "people.csv").write_text("id;age;city\n1;30;Rome\n2;41,5;Oslo\n3;?;Rome\n")
    (tmp_path / "scores.jsonl").write_text('{"id": 1, "score": 0.5}\n{"id": 3, "score": 1.5}\n')
    return tmp_path


def cells(opened):
    return {column.name: column.values.tolist() for column in opened.columns}


@pytest.mark.parametrize("table", ["people", "data", '"people"'])
def test_sql_over_a_text_file(folder, table):
    sql = f"SELECT city, age * 2 AS twice FROM {table} WHERE age > 10 ORDER BY age DESC;  -- done"
    opened = open_source(folder / "people.csv", sql=sql)
    assert (opened.name, opened.target) == ("people", None)
    assert cells(opened) == {"city": ["Oslo", "Rome"], "twice": [83.0, 60.0]}


def test_sql_joins_the_tables_of_a_folder(folder):
    opened = open_source(folder, sql="SELECT * FROM people JOIN scores USING (id) ORDER BY id")
    assert opened.name == folder.name
    assert cells(opened)["score"] == [0.5, 1.5]
    assert [column.kind for column in opened.columns] == ["number", "number", "text", "number"]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT * FROM nothing", r"sql fails: .*nothing does not exist.*; the tables are: people, data"),
        ("SELECT * FROM pg_databas", r"pg_databas does not exist; the tables are: people, data$"),
        ("SELEC age", r"sql fails: .*syntax error"),
        ("DROP TABLE people", r"sql is no single SELECT"),
        ("SELECT 1; SELECT 2", r"sql is no single SELECT"),
        ("COPY people TO 'stolen.csv'", r"sql is no single SELECT"),
        ("", r"sql is no single SELECT"),
        (
            "SELECT * FROM read_text('OTHER')",
            r"sql may read the named files only, as the tables people, data",
        ),
        ("SELECT * FROM 'OTHER'", r"sql may read the named files only"),
        ("SELECT * FROM glob('/*')", r"sql"),
        ("SELECT CAST(city AS INT) AS n FROM people", r"sql fails"),
    ],
)
def test_sql_refusals(folder, sql, message):
    (folder / "other.csv").write_text("secret\n1\n")
    with pytest.raises(UsageError, match=message) as caught:
        open_source(folder / "people.csv", sql=sql.replace("OTHER", str(folder / "other.csv")))
    assert "\n" not in str(caught.value)


def test_sql_without_rows_or_file(folder):
    with pytest.raises(DataError, match="sql selects no rows"):
        open_source(folder / "people.csv", sql="SELECT * FROM data WHERE age > 100")
    for source in ("iris", {"a": [1]}):
        with pytest.raises(UsageError, match="sql is given without a file"):
            open_source(source, sql="SELECT 1")


def test_parquet_files_of_a_folder_or_a_pattern(tmp_path):
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT 1 AS a, 'x' AS b) TO '{tmp_path / 'p1.parquet'}'")
        connection.execute(f"COPY (SELECT 'y' AS b, 2 AS a) TO '{tmp_path / 'p2.parquet'}'")
    for source in (tmp_path, tmp_path / "p*.parquet", tmp_path / "p[12].parquet"):
        assert cells(open_source(source)) == {"a": [1.0, 2.0], "b": ["x", "y"]}


def test_moments_and_spans_of_a_file(tmp_path):
    # Oracle: 06:00 at +06:00 is midnight in UTC, whatever the zone of the machine.
    query = """SELECT TIMESTAMPTZ '1970-01-03 06:00:00+06' AS zoned, DATE '1970-01-03' AS day,
        INTERVAL 90 SECOND AS span, TIME '01:00:00' AS clock, 1.25::DECIMAL(9, 2) AS price"""
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({query}) TO '{tmp_path / 'a.parquet'}'")
    opened = open_source(tmp_path / "a.parquet")
    assert cells(opened) == {"zoned": [2.0], "day": [2.0], "span": [90.0], "clock": [3600.0], "price": [1.25]}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.xlsx", r"is a spreadsheet; save it as CSV"),
        ("a.pkl", r"is a pickle, which may run code"),
        ("a.zip", r"is an archive; unpack it first"),
        ("empty", r"is a folder; give a file in it \(it has none\)"),
        ("*.csv", r"matches 2 files; only Parquet files are read together"),
        ("peple.csv", r"did you mean '.*people.csv'"),
    ],
)
def test_refusals(folder, name, message):
    for other in ("a.xlsx", "a.pkl", "a.zip", "more.csv"):
        (folder / other).write_text("a,b\n1,2\n")
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match=message):
        open_source(folder / name)


def test_image_arrays_have_a_shape():
    opened = open_source((np.zeros((4, 5, 6, 3), dtype=np.uint8), [0, 1, 0, 1]))
    assert (opened.shape, opened.positions, opened.target) == ((5, 6, 3), True, "y")


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "rows", "columns", "numbers"),
    [
        ("adult/adult-train.csv.gz", 32561, 15, 6),
        ("adult/adult-test.csv.gz", 16281, 15, 6),
        ("wine_quality/winequality-red.csv", 1599, 12, 12),
        ("spambase/spam.data.gz", 4601, 58, 58),
        ("california_housing/housing.csv.gz", 20640, 10, 9),
        ("auto_mpg/mpg.csv", 398, 9, 7),
        ("abalone/abalone.csv", 4177, 9, 8),
        ("credit_g/credit.csv", 1000, 21, 8),
        ("penguins/penguins.csv", 344, 8, 5),
        ("sms_spam/sms.tsv.gz", 5574, 2, 0),
        ("sentiment_sentences/imdb_labelled.txt", 1000, 2, 1),
    ],
)
def test_real_files(data_folder, name, rows, columns, numbers):
    # Oracle: the descriptions that come with the files.
    opened = open_source(data_folder / name)
    assert len(opened.columns[0].values) == rows
    assert len(opened.columns) == columns
    assert sum(column.kind == "number" for column in opened.columns) == numbers
