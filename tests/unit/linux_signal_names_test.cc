// Signals by their names.
#include "linux/signal_names.h"

#include <gtest/gtest.h>

#include <csignal>

namespace holdfast {
namespace {

TEST(ParseSignal, TakesNamesAndNumbers) {
  EXPECT_EQ(ParseSignal("USR1").value(), SIGUSR1);
  EXPECT_EQ(ParseSignal("SIGUSR1").value(), SIGUSR1);
  EXPECT_EQ(ParseSignal("10").value(), 10);
  EXPECT_EQ(ParseSignal("64").value(), 64);
}

TEST(ParseSignal, RefusesTheRest) {
  for (const char* text : {"", "SIG", "usr1", "USR", "0", "-1", "65", "1.5", "TERM ", "99999999999"}) {
    EXPECT_EQ(ParseSignal(text).error().kind, ErrorKind::kUsage) << text;
  }
}

TEST(SignalName, ComesBackWhereThereIsOne) {
  EXPECT_EQ(SignalName(SIGUSR1), "SIGUSR1");
  EXPECT_EQ(SignalName(SIGRTMAX), "signal 64");
}

}  // namespace
}  // namespace holdfast
