#include "process/command.h"

#include <stdarg.h>
#include <string.h>

void command_end(struct call *call, int exit_code)
{
	admin_end(call->request, exit_code);
}

void command_fail(struct call *call, int exit_code, const char *format, ...)
{
	FILE   *err = call->request->err;
	va_list arguments;

	fputs("penstock: ", err);
	va_start(arguments, format);
	vfprintf(err, format, arguments);
	va_end(arguments);
	putc('\n', err);
	command_end(call, exit_code);
}

void command_log(const struct call *call, const char *format, ...)
{
	char    text[512];
	va_list arguments;

	if (!call->hooks->log)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	log_line(call->hooks->log, LOG_LEVEL_NOTICE, "penstock: ctl: %s (uid %u, pid %d)", text,
	         (unsigned)call->request->uid, (int)call->request->pid);
	log_flush(call->hooks->log);
}

struct call *command_find(struct admin *admin, uint64_t ticket, const char *command)
{
	struct admin_request *request = admin_find(admin, ticket);
	struct call          *call = request ? request->state : NULL;

	CHECK(!call || !command || strcmp(call->command->name, command) == 0);
	return call;
}

const struct snapshot *command_snapshot(struct call *call)
{
	const struct control_hooks *hooks = call->hooks;
	const struct snapshot *snapshot = hooks->snapshot ? hooks->snapshot(hooks->context) : NULL;

	if (!snapshot)
		command_fail(call, 1, "%s is not possible now", call->command->name);
	return snapshot;
}
