/*
 * rules: what must be true of every connection after every turn, whenever nothing more can happen,
 * and at its end.
 *
 * Reads the session layer's own structs: they are checked against what the simulated kernel saw.
 */
#ifndef TESTS_SIM_RULES_H
#define TESTS_SIM_RULES_H

/* After every turn. */
void rules_check(void);

/* When nothing more can happen at this moment: whoever could go on and does not has lost a
 * wake-up. */
void rules_check_liveness(void);

/* Of what became of client *number*, once its connection and the network are quiet. */
void rules_check_end(int number);

#endif
