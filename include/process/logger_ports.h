/*
 * logger_ports: the log ports of all threads, as the log writer looks at them.
 *
 * Owns the ports and their rings. Control asks for them and marks how far they are written; the
 * writer reads them. One that nobody asked for costs nothing, and one that is there stays, for the
 * next thread of its number. Called by process/logger only.
 */
#ifndef PROCESS_LOGGER_PORTS_H
#define PROCESS_LOGGER_PORTS_H

#include "base/log.h"

struct logger_port {
	_Atomic(struct log_port *) port; /* NULL until asked for */
	_Atomic uint64_t           mark; /* where its newest record ended at logger_ports_mark */
};

struct logger_ports {
	struct logger_port *all; /* *max* of them */
	uint32_t            max, ring_size;
	_Atomic uint32_t    end; /* none from here on was ever asked for */
};

/* False: no memory. */
MUST_CHECK bool logger_ports_init(struct logger_ports *ports, uint32_t max, uint32_t ring_size);
void            logger_ports_fini(struct logger_ports *ports);

/* Control: that port, made where there is none yet, with the writer's futex word. NULL: no
 * memory. */
MUST_CHECK struct log_port *logger_ports_get(struct logger_ports *ports, uint32_t index,
                                             _Atomic uint32_t *writer_asleep);
/* Control: notes for each how far it is written. */
void logger_ports_mark(struct logger_ports *ports);

/* Any thread: one of those in front of *end*; NULL: nobody has asked for it. */
struct log_port *logger_ports_at(const struct logger_ports *ports, uint32_t index);
/* Any thread: records that found a ring full. */
uint64_t logger_ports_dropped(const struct logger_ports *ports);
/* Writer: see log_flush for why no record is overlooked. */
bool logger_ports_are_empty(const struct logger_ports *ports);

#endif
