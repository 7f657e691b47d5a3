/*
 * listing: a table, or one record, as text for people or as JSON for programs.
 *
 * Owns how cells are written and escaped: a name in one may be hostile, and no byte of it may begin
 * a column, a line or a key. Rows go out as they come, so that a table of any length needs no
 * memory; widths are therefore fixed, and a longer cell pushes its row. Called by the commands of
 * the admin socket.
 */
#ifndef PROCESS_LISTING_H
#define PROCESS_LISTING_H

#include "base/util.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct column {
	const char *name; /* the JSON key as well */
	unsigned    width;
};

struct listing {
	FILE                *to;
	const struct column *columns;
	size_t               count, at; /* at: the column that comes next */
	uint64_t             rows;
	bool                 is_json, is_record;
};

/* A table: a line of names, then a line a row; JSON: an array of objects. *columns* must outlive
 * it. */
void listing_begin(struct listing *listing, FILE *to, bool is_json, const struct column *columns,
                   size_t count);
/* A record, which is one row: a line a value; JSON: an object. */
void listing_begin_record(struct listing *listing, FILE *to, bool is_json,
                          const struct column *columns, size_t count);
/* After the last whole row. */
void listing_end(struct listing *listing);

/* The next cell of the row. A row is over with its last column. Absent is `-`, in JSON null. */
void listing_absent(struct listing *listing);
void listing_text(struct listing *listing, const char *text); /* NULL = absent */
/* Absent if it is empty. */
void listing_name(struct listing *listing, const char *text);
void listing_number(struct listing *listing, uint64_t number);
/* "12.3s", "5m10s", "2h05m", "3d04h"; in JSON milliseconds, and the key ends in _ms. */
void listing_duration(struct listing *listing, uint64_t ms);
/* One of our own words or numbers that is to stand as it is: `true`. */
void listing_literal(struct listing *listing, const char *literal);

/* *text* as a JSON string, its quotes too. */
void listing_json_string(FILE *to, const char *text);

#endif
