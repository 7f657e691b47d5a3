/*
 * lines: one INI text, line by line, through inih.
 *
 * Hands every line to inih only after checking it, and notices when inih made nothing of one, so
 * that no line is cut, skipped or put under the wrong section in silence. Knows no key and opens no
 * file. Called by conf/source.
 */
#ifndef CONF_LINES_H
#define CONF_LINES_H

#include "conf/source.h"

/* Appends the sections of *text* to *source*, calling on_entry for each value once it stands in its
 * section. *path* is kept for places. False: no memory. */
MUST_CHECK bool lines_parse(struct source *source, const char *path, struct span text,
                            void (*on_entry)(struct source_section *section,
                                             struct source_entry *entry, void *context),
                            void *context);

#endif
