/* Keys of logs, of the user and of systemd's sockets: what is read, refused and printed again. */
#include "test.h"

#include "conf/template.h"
#include "conf_maker.h"

#define HEAD                                                                                       \
	"[listener web]\nlisten = 443\nproxy_pass = 192.0.2.1:443\naccess_log = l\n[log l]\n" /* 5 lines */

static bool prints(const char *text, const char *line)
{
	struct made_conf made = make_conf(text);
	bool             found = made.printed && strstr(made.printed, line);
	struct made_conf again = make_conf(made.printed ? made.printed : "");
	bool same = made.printed && again.printed && strcmp(made.printed, again.printed) == 0;

	if (!found || !same)
		printf("  said:\n%s%s  printed:\n%s", made.said, again.said,
		       made.printed ? made.printed : "");
	made_free(&again);
	made_free(&made);
	return found && same;
}

TEST(a_template_is_text_fields_and_braces)
{
	struct span           rest = span_text("a {sni|none}{{x}}{relay}");
	struct template_piece piece = template_next(&rest);

	EXPECT(piece.kind == TEMPLATE_TEXT && span_equal(piece.text, span_text("a ")));
	piece = template_next(&rest);
	EXPECT(piece.kind == TEMPLATE_FIELD && piece.key == TEMPLATE_SNI &&
	       span_equal(piece.text, span_text("none")));
	piece = template_next(&rest);
	EXPECT(piece.kind == TEMPLATE_TEXT && span_equal(piece.text, span_text("{")));
	piece = template_next(&rest);
	EXPECT(piece.kind == TEMPLATE_TEXT && span_equal(piece.text, span_text("x")));
	piece = template_next(&rest);
	EXPECT(piece.kind == TEMPLATE_TEXT && span_equal(piece.text, span_text("}")));
	piece = template_next(&rest);
	EXPECT(piece.kind == TEMPLATE_FIELD && piece.key == TEMPLATE_RELAY &&
	       span_equal(piece.text, span_text("-")));
	EXPECT_EQ(template_next(&rest).kind, TEMPLATE_END);
}

TEST(every_key_of_the_access_log_may_stand_in_a_template)
{
	char text[1024] = HEAD "path = x\nformat = template\ntemplate = ";

	for (unsigned key = 0; key < TEMPLATE_KEYS; key++) {
		strcat(text, "{");
		strcat(text, template_key_name((enum template_key)key));
		strcat(text, "}");
	}
	strcat(text, "\n");
	EXPECT(is_silent(text));
}

TEST(a_wrong_template_is_told_with_what_was_meant)
{
	static const struct {
		const char *template, *says;
	} rows[] = {
		{"{snii}", "`{snii}` is not a key of the access log; did you mean \"sni\"?"},
		{"{client} {bytes_upp|0}", "did you mean \"bytes_up\"?"},
		{"{}", "`{}` is not a key of the access log\n"},
		{"{sni", "a { without its }"},
		{"{sni {client}", "a { without its }"},
		{"{client} sni}", "a } without its {"},
		{"{client} {client|x}", "`{client}` stands here twice"},
		{"nothing", "at least one {key}"},
		{"{{client}}", "at least one {key}"},
	};
	char text[512], wanted[256];

	for (size_t i = 0; i < COUNT(rows); i++) {
		snprintf(text, sizeof(text), HEAD "path = x\nformat = template\ntemplate = %s\n",
		         rows[i].template);
		snprintf(wanted, sizeof(wanted),
		         "t.ini:8: [log l] template = %s: ", rows[i].template);
		EXPECT(mentions(text, wanted));
		EXPECT(mentions(text, rows[i].says));
	}
}

TEST(a_template_and_its_format_go_together)
{
	EXPECT(says(HEAD "path = x\nformat = template\n",
	            "t.ini:7: [log l] format = template needs a template\n"));
	EXPECT(says(HEAD "path = x\ntemplate = {sni}\n",
	            "t.ini:7: [log l] template is only for format = template\n"));
	EXPECT(prints(HEAD "path = x\ntemplate = {time} \"{sni|}\" {{}}\nformat = template\n",
	              "\nformat = template\ntemplate = {time} \"{sni|}\" {{}}\nwhen = all\n"));
}

TEST(which_connections_a_log_holds_is_read_and_printed)
{
	EXPECT(prints(HEAD "path = x\nwhen = errors\n", "\nwhen = errors\n"));
	EXPECT(prints(HEAD "path = x\nwhen = sample=1/100\n", "\nwhen = sample=1/100\n"));
	EXPECT(prints(HEAD "path = x\nwhen = sample=1/1\n", "\nwhen = all\n"));
	for (const char *const *wrong =
	             (const char *const[]){"error", "sample=100", "sample=1/0", "sample=1/-1",
	                                   "sample=2/3", "sample=1/", "sample=1/2000000000", NULL};
	     *wrong; wrong++) {
		char text[256], wanted[256];

		snprintf(text, sizeof(text), HEAD "path = x\nwhen = %s\n", *wrong);
		snprintf(wanted, sizeof(wanted),
		         "t.ini:7: [log l] when = %s: all, errors, or a sample", *wrong);
		EXPECT(mentions(text, wanted));
	}
}

TEST(a_log_may_go_to_syslog_here_or_at_an_address)
{
	struct addr to = {0};

	EXPECT(prints(HEAD "path = syslog\n", "\npath = syslog\n"));
	EXPECT(prints(HEAD "path = syslog:[2001:db8::1]:514\n",
	              "\npath = syslog:[2001:db8::1]:514\n"));
	EXPECT(prints("[global]\nerror_log = syslog warn\n" HEAD "path = x\n",
	              "\nerror_log = syslog warn\n"));
	EXPECT(prints("[global]\nerror_log = syslog:192.0.2.7:514\n" HEAD "path = x\n",
	              "\nerror_log = syslog:192.0.2.7:514 notice\n"));
	EXPECT(mentions(HEAD "path = syslog:loghost:514\n",
	                "t.ini:6: [log l] path = syslog:loghost:514: syslog, or syslog:ADDR:PORT"));
	EXPECT(mentions("[global]\nerror_log = syslog:loghost:514 warn\n",
	                "t.ini:2: [global] error_log = syslog:loghost:514 warn: syslog, or"));
	EXPECT_EQ(conf_log_target("syslog:192.0.2.7:514", &to), CONF_LOG_TO_UDP);
	EXPECT(to.family == ADDR_IP4 && to.port == 514 && to.ip[3] == 7);
	EXPECT_EQ(conf_log_target("syslog", &to), CONF_LOG_TO_SYSLOG);
	EXPECT_EQ(conf_log_target("syslog:", &to), CONF_LOG_TO_NOWHERE);
	EXPECT_EQ(conf_log_target("syslog.log", &to), CONF_LOG_TO_FILE);
	EXPECT_EQ(conf_log_target("./syslog", &to), CONF_LOG_TO_FILE);
}

TEST(user_and_group_are_kept_with_their_places)
{
	struct made_conf made = make_conf("[global]\nuser = penstock\ngroup = ssl\n" HEAD
	                                  "path = x\n");

	EXPECT_EQ(made.errors, 0);
	EXPECT(strcmp(made.conf->global.user, "penstock") == 0 &&
	       made.conf->global.user_pos.line == 2);
	EXPECT(strcmp(made.conf->global.group, "ssl") == 0 &&
	       made.conf->global.group_pos.line == 3);
	made_free(&made);
	EXPECT(says("[global]\ngroup = ssl\n" HEAD "path = x\n",
	            "t.ini:2: [global] group = ssl: only together with user\n"));
}

TEST(a_socket_of_systemd_is_named)
{
	struct made_conf made = make_conf(
		"[listener web]\nlisten = fd:web.socket\nproxy_pass = 192.0.2.1:443\n");

	EXPECT_EQ(made.errors, 0);
	EXPECT_EQ(made.conf->listeners[0]->listens[0].kind, CONF_ENDPOINT_FD);
	EXPECT(strcmp(made.conf->listeners[0]->listens[0].host, "web.socket") == 0);
	EXPECT(strstr(made.printed, "\nlisten = fd:web.socket\n") != NULL);
	made_free(&made);
	EXPECT(mentions("[listener a]\nlisten = fd:\n",
	                "t.ini:2: [listener a] listen = fd:: fd:NAME"));
	EXPECT(mentions("[listener a]\nlisten = fd:a:b\n", "fd:NAME, the FileDescriptorName"));
	EXPECT(mentions("[listener a]\nlisten = fd:x\nproxy_pass = 192.0.2.1:1\n"
	                "[listener b]\nlisten = fd:x\nproxy_pass = 192.0.2.1:1\n",
	                "listen = fd:x: is listened on already, on line 2"));
}

int main(void)
{
	return test_main();
}
