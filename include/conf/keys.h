/*
 * keys: the table of every key: where it may stand, how it is read, what it is by default, what it
 * is for.
 *
 * The reader, [defaults], the printed file (-T) and the reference page all come from these rows and
 * from nothing else. A key that is known but not built yet has a row too. Used by conf alone.
 */
#ifndef CONF_KEYS_H
#define CONF_KEYS_H

#include "conf/values.h"

enum section_kind {
	SECTION_GLOBAL,
	SECTION_DEFAULTS,
	SECTION_LISTENER,
	SECTION_SNI,
	SECTION_ROUTE,
	SECTION_UPSTREAM,
	SECTION_TLS,
	SECTION_LOG,
	SECTION_KINDS
};

enum { KEYS_MAX = 256 };

enum key_flags {
	KEY_MANY = BIT(0),     /* marked * in the reference: may be repeated */
	KEY_DEFAULTS = BIT(1), /* marked D: [defaults] may hold it */
	KEY_REQUIRED = BIT(2),
	KEY_JOINED = BIT(3), /* its values go with those of the row before it, in file order */
	KEY_FIXED = BIT(4),  /* of [global], not KEY_MANY: a running process keeps the value */
	KEY_SSL = BIT(5),    /* of [upstream]: has a meaning only where proxy_ssl is on */
};

/* A word that stands for a value; the list ends with a NULL name. */
struct word {
	const char *name;
	uint32_t    value;
	bool        later; /* not supported yet */
};

struct key {
	const char              *name;
	enum section_kind        section;
	const struct value_kind *kind;
	size_t                   offset;       /* of the field in the section's struct */
	size_t                   count_offset; /* KEY_MANY: of the size_t that counts the items */
	size_t      pos_offset; /* of a struct conf_pos that tells where it was set; 0 = none */
	unsigned    flags;
	unsigned    set;        /* a route's: enum conf_session_set, when it gives the key itself */
	uint32_t    min, max;   /* numbers, sizes, times in their kind's unit */
	const char *word;       /* beside a number: `auto`, `off`; */
	uint32_t    word_value; /* what it stands for */
	const struct word *words;
	const char        *preset; /* the default as it would be written; NULL = none */
	const char        *help;
};

extern const struct key keys[];
extern const size_t     keys_count;

/* How a section's type is written; NULL: no such. */
const char *keys_section_type(enum section_kind kind);
/* False: no such type. */
MUST_CHECK bool keys_section_kind(const char *type, enum section_kind *kind);
bool            keys_section_is_named(enum section_kind kind);

/* True: beside its own keys it may hold those of [tls]. */
bool keys_holds_tls(enum section_kind kind);

/* NULL: not a key of such a section. For SECTION_DEFAULTS the first row of that name that it may
 * hold. */
const struct key *keys_find(enum section_kind kind, const char *name);

/* True: [defaults] may hold this row's key, and it speaks of this row. */
bool keys_is_default_of(const struct key *key, const char *name);

#endif
