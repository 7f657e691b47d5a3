/*
 * snapshot_text: a snapshot built from a configuration written inline in the test.
 */
#ifndef TESTS_UNIT_SNAPSHOT_TEXT_H
#define TESTS_UNIT_SNAPSHOT_TEXT_H

#include "site/snapshot.h"

#include "report_text.h"
#include "test.h"

#include <unistd.h>

struct site {
	struct conf_report *report;
	struct registry    *registry;
	struct snapshot    *snapshot; /* NULL: see *report* */
	char                path[64];
};

/* The file is called by its path in *report*; site.path holds that. */
static inline void site_init_from(struct site *site, const char *text)
{
	struct conf *conf;
	int          fd;

	*site = (struct site){.report = conf_report_new(), .registry = registry_new(64)};
	snprintf(site->path, sizeof(site->path), "%s", P_tmpdir "/penstock-test-XXXXXX");
	fd = mkstemp(site->path);
	EXPECT(fd >= 0);
	EXPECT(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
	conf = conf_read(site->path, site->report);
	EXPECT(unlink(site->path) == 0);
	EXPECT(conf != NULL);
	EXPECT_EQ(conf_report_errors(site->report), 0);
	if (conf && conf_report_errors(site->report) == 0)
		site->snapshot = snapshot_build(conf, site->registry, site->report);
	else if (conf)
		conf_free(conf);
}

/* The same, and it must succeed. */
static inline bool site_init(struct site *site, const char *text)
{
	site_init_from(site, text);
	EXPECT(site->snapshot != NULL);
	if (!site->snapshot)
		conf_report_print(site->report, stdout);
	return site->snapshot != NULL;
}

static inline void site_fini(struct site *site)
{
	snapshot_free(site->snapshot);
	registry_free(site->registry);
	conf_report_free(site->report);
}

#endif
