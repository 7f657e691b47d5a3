#include "tls_files.h"

#include "process/metrics.h"
#include "snapshot_text.h"

static struct site site;

/* *text* with FOLDER for the folder of these files. */
static void begin(const char *text)
{
	char       *whole = NULL;
	const char *next;
	size_t      size;
	FILE       *to = open_memstream(&whole, &size);

	text_file("server.crt", server_pem);
	text_file("server.key", server_key);
	text_file("names.crt", names_pem);
	text_file("ca.crt", ca_pem);
	for (; (next = strstr(text, "FOLDER")); text = next + 6)
		fprintf(to, "%.*s%s", (int)(next - text), text, files_folder);
	fputs(text, to);
	fclose(to);
	site_init_from(&site, whole);
	free(whole);
}

static size_t count_in_report(const struct conf_report *report, const char *wanted)
{
	char  *text = NULL;
	size_t len = 0, count = 0;
	FILE  *to = open_memstream(&text, &len);

	conf_report_print(report, to);
	fclose(to);
	for (const char *at = text; (at = strstr(at, wanted)); at++)
		count++;
	free(text);
	return count;
}

static const char two_routes[] = "[listener web]\n"
				 "listen = 8443\n"
				 "[tls a]\n"
				 "ssl_certificate = FOLDER/server.crt\n"
				 "ssl_certificate_key = FOLDER/server.key\n"
				 "[route one]\n"
				 "mode = terminate\n"
				 "tls = a\n"
				 "server_name = server.example\n"
				 "proxy_pass = 127.0.0.1:1\n"
				 "[route two]\n"
				 "mode = terminate\n"
				 "tls = a\n"
				 "server_name = other.example\n"
				 "server_name = *.wild.example\n"
				 "proxy_pass = 127.0.0.1:1\n"
				 "[route three]\n"
				 "server_name = passed.example\n"
				 "proxy_pass = 127.0.0.1:1\n";

TEST(routes_of_one_section_share_its_context_and_those_that_pass_through_have_none)
{
	begin(two_routes);
	EXPECT(site.snapshot != NULL);
	if (site.snapshot) {
		EXPECT(site.snapshot->routes[0].tls != NULL);
		EXPECT(site.snapshot->routes[0].tls == site.snapshot->routes[1].tls);
		EXPECT(site.snapshot->routes[2].tls == NULL);
		EXPECT_EQ(tls_store_loaded(site.registry->tls), 1);
	} else {
		conf_report_print(site.report, stdout);
	}
	site_fini(&site);
}

TEST(a_name_that_no_certificate_covers_is_a_lint_with_its_line)
{
	begin(two_routes);
	EXPECT(report_says(site.report, ":14: warning: [route two] server_name = other.example: "
	                                "no certificate covers it"));
	EXPECT_EQ(count_in_report(site.report, "(L18)"), 1);
	site_fini(&site);
}

TEST(all_that_is_wrong_with_certificates_is_told_at_once)
{
	begin("[listener web]\n"
	      "listen = 8443\n"
	      "mode = terminate\n"
	      "proxy_pass = 127.0.0.1:1\n"
	      "ssl_certificate = FOLDER/absent.crt\n"
	      "ssl_certificate_key = FOLDER/server.key\n"
	      "[tls b]\n"
	      "ssl_certificate = FOLDER/names.crt\n"
	      "ssl_certificate_key = FOLDER/server.key\n"
	      "[route one]\n"
	      "mode = terminate\n"
	      "tls = b\n"
	      "server_name = example.com\n"
	      "proxy_pass = 127.0.0.1:1\n");
	EXPECT(site.snapshot == NULL);
	EXPECT(report_says(site.report, ":5: [listener web] ssl_certificate = "));
	EXPECT(report_says(site.report, ":9: [tls b] ssl_certificate_key = "));
	EXPECT_EQ(conf_report_errors(site.report), 2);
	site_fini(&site);
}

TEST(the_end_of_each_certificate_is_told_once_for_each_listener)
{
	struct metrics_view view = {.max_connections = 1};
	const char         *name;
	char               *text = NULL, line[160];
	size_t              size = 0;
	int64_t             expires = 0;
	FILE               *to;

	begin(two_routes);
	EXPECT(site.snapshot != NULL);
	to = open_memstream(&text, &size);
	view.registry = site.registry;
	view.snapshot = site.snapshot;
	EXPECT(site.snapshot && metrics_print(&view, to));
	fclose(to);
	EXPECT(site.snapshot &&
	       tls_context_certificate(site.snapshot->routes[0].tls, 0, &name, &expires));
	snprintf(line, sizeof(line),
	         "penstock_certificate_expiry_seconds{listener=\"web\",name=\"server.example\"} "
	         "%lld\n",
	         (long long)expires);
	EXPECT(strstr(text, line) != NULL);
	EXPECT(strstr(text, line) &&
	       !strstr(strstr(text, line) + strlen(line), "certificate_expiry_"));
	free(text);
	site_fini(&site);
}

TEST(an_upstream_with_proxy_ssl_has_a_client_and_others_have_none)
{
	begin("[listener web]\n"
	      "listen = 8443\n"
	      "proxy_pass = secure\n"
	      "[upstream secure]\n"
	      "server = 127.0.0.1:1\n"
	      "proxy_ssl = on\n"
	      "proxy_ssl_trusted_certificate = FOLDER/ca.crt\n"
	      "[route plain]\n"
	      "server_name = plain.example\n"
	      "proxy_pass = 127.0.0.1:2\n");
	EXPECT(site.snapshot != NULL);
	for (size_t i = 0; site.snapshot && i < site.snapshot->conf->upstream_count; i++) {
		const struct upstream *upstream = &site.snapshot->upstreams[i];

		EXPECT((upstream->tls != NULL) == (strcmp(upstream->name, "secure") == 0));
	}
	if (!site.snapshot)
		conf_report_print(site.report, stdout);
	site_fini(&site);
}

int main(void)
{
	return files_test_main();
}
