/*
 * service: what serves: generations of configurations, listening sockets, logs and workers, and how
 * one configuration is followed by another.
 *
 * Owns all of them. Control decides when; everything here happens on its thread. What can fail in a
 * change fails before anything of the running service is touched.
 */
#ifndef PROCESS_SERVICE_H
#define PROCESS_SERVICE_H

#include "process/crew.h"
#include "process/generation.h"
#include "process/loader.h"
#include "process/logger.h"
#include "process/ports.h"
#include "process/privs.h"

#define TELL(service, level, ...)                                                                  \
	do {                                                                                       \
		log_line((service)->log, (level), __VA_ARGS__);                                    \
		log_flush((service)->log);                                                         \
	} while (0)

struct service_renewal; /* private */

struct service {
	struct list        generations; /* generation.in_all, the newest last */
	struct generation *newest;
	struct registry   *registry;
	struct sizes       sizes;
	struct ports       ports;
	struct privs       privs;
	struct logger     *logger;
	struct log_port   *log; /* control's own; NULL before there is a logger */
	struct crew        crew;
	uint32_t           next_number; /* of a generation */

	struct service_renewal *renewals; /* of a change that is under way */
	uint32_t                renewals_left;
	/* Set by whoever changes it: the change is complete. */
	void (*renewed)(struct service *service);
	void *context;
};

/* Takes the snapshot over; serves nothing yet. False: told on stderr; service_close all the
 * same. */
MUST_CHECK bool service_open(struct service *service, struct reactor *reactor,
                             struct loaded *loaded);

/* Opens ports and logs, starts the workers. False: told on stderr. */
MUST_CHECK bool service_start(struct service *service);

/* Another configuration: accepted connections live by it as soon as their worker has heard, and
 * service->renewed is called when all have. Takes loaded->snapshot over if true. False: errors are
 * in loaded->report, and nothing has changed. Not while another change is under way. */
MUST_CHECK bool service_change(struct service *service, struct loaded *loaded);
bool            service_is_changing(const struct service *service);

/* Frees generations whose last session has ended. True: older ones than the newest are left. */
bool service_free_old(struct service *service);

/* Once no worker is left: frees everything. What is left to log may take *log_ms*. */
void service_close(struct service *service, unsigned log_ms);

const struct conf *service_conf(const struct service *service);

#endif
