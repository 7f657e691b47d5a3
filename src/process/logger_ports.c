#include "process/logger_ports.h"

#include <stdlib.h>
#include <string.h>

bool logger_ports_init(struct logger_ports *ports, uint32_t max, uint32_t ring_size)
{
	ports->all = calloc(max, sizeof(*ports->all));
	ports->max = max;
	ports->ring_size = ring_size;
	atomic_init(&ports->end, 0);
	return ports->all != NULL;
}

void logger_ports_fini(struct logger_ports *ports)
{
	uint32_t end = atomic_load(&ports->end);

	for (uint32_t i = 0; i < end; i++) {
		struct log_port *port = logger_ports_at(ports, i);

		if (port)
			spsc_fini(&port->ring);
		free(port);
	}
	free(ports->all);
}

static struct log_port *new_port(const struct logger_ports *ports, _Atomic uint32_t *writer_asleep)
{
	/* Rings are aligned to cache lines, which calloc does not promise. */
	struct log_port *port = aligned_alloc(_Alignof(struct log_port), sizeof(*port));

	if (!port)
		return NULL;
	*port = (struct log_port){.writer_asleep = writer_asleep};
	if (!spsc_init(&port->ring, ports->ring_size)) {
		free(port);
		return NULL;
	}
	/* Touched now: a ring wanders through all of its memory, and a process whose memory grows
	 * for its first hours looks like one that leaks. */
	memset(port->ring.memory, 0, ports->ring_size);
	return port;
}

struct log_port *logger_ports_get(struct logger_ports *ports, uint32_t index,
                                  _Atomic uint32_t *writer_asleep)
{
	struct log_port *port;

	CHECK(index < ports->max);
	port = logger_ports_at(ports, index);
	if (port)
		return port;
	port = new_port(ports, writer_asleep);
	if (!port)
		return NULL;
	/* Sequentially consistent, as all that keeps a sleeping writer from overlooking a
	 * record. */
	atomic_store(&ports->all[index].port, port);
	if (index >= atomic_load(&ports->end))
		atomic_store(&ports->end, index + 1);
	return port;
}

void logger_ports_mark(struct logger_ports *ports)
{
	uint32_t end = atomic_load(&ports->end);

	for (uint32_t i = 0; i < end; i++) {
		const struct log_port *port = logger_ports_at(ports, i);

		if (port)
			atomic_store_explicit(&ports->all[i].mark, spsc_end(&port->ring),
			                      memory_order_relaxed);
	}
}

struct log_port *logger_ports_at(const struct logger_ports *ports, uint32_t index)
{
	return atomic_load(&ports->all[index].port);
}

uint64_t logger_ports_dropped(const struct logger_ports *ports)
{
	uint32_t end = atomic_load(&ports->end);
	uint64_t total = 0;

	for (uint32_t i = 0; i < end; i++) {
		const struct log_port *port = logger_ports_at(ports, i);

		if (port)
			total += atomic_load_explicit(&port->dropped, memory_order_relaxed);
	}
	return total;
}

bool logger_ports_are_empty(const struct logger_ports *ports)
{
	uint32_t end = atomic_load(&ports->end);

	for (uint32_t i = 0; i < end; i++) {
		const struct log_port *port = logger_ports_at(ports, i);

		if (port && !spsc_is_empty(&port->ring))
			return false;
	}
	return true;
}
