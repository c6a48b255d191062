#include "runtime/decisions.h"

#include <gmock/gmock.h>

#include <csignal>

namespace holdfast {
namespace {

using testing::HasSubstr;

Annotations InPod() {
  return {{"holdfast.dev/checkpoint", "true"},
          {"io.kubernetes.cri.container-type", "container"},
          {"io.kubernetes.cri.container-name", "main"},
          {"io.kubernetes.cri.sandbox-name", "train-0"},
          {"io.kubernetes.cri.sandbox-namespace", "ml"},
          {"io.kubernetes.cri.sandbox-uid", "0b3d6f0e-1111-2222-3333-444455556666"}};
}

Annotations With(Annotations annotations, const std::string& key, const std::string& value) {
  annotations[key] = value;
  return annotations;
}
Annotations Without(Annotations annotations, const std::string& key) {
  annotations.erase(key);
  return annotations;
}

Verdict Create(const Annotations& annotations, std::string_view id = "4f1c") {
  return DecideCreate(id, annotations).verdict;
}

TEST(DecideCreate, OnlyTrueOptsIn) {
  EXPECT_EQ(Create({}), Verdict::kNotOptedIn);
  EXPECT_EQ(Create(With(InPod(), "holdfast.dev/checkpoint", "false")), Verdict::kNotOptedIn);
  EXPECT_EQ(Create(Without(InPod(), "holdfast.dev/checkpoint")), Verdict::kNotOptedIn);
  EXPECT_EQ(Create(With(InPod(), "holdfast.dev/checkpoint", "yes")), Verdict::kBadOptIn);
  EXPECT_EQ(Create(InPod()), Verdict::kTakes);
}

TEST(DecideCreate, WhoItIs) {
  Annotations annotations = With(InPod(), "holdfast.dev/owner-uid", "aaaabbbb-0000-1111-2222-333344445555");
  annotations = With(With(annotations, "holdfast.dev/template-hash", "6d4cf56db6"), "holdfast.dev/slot", "3");
  const ContainerIdentity who = DecideCreate("4f1c", annotations).identity;
  EXPECT_TRUE(who.in_pod);
  EXPECT_EQ(who.id, "4f1c");
  EXPECT_EQ(who.pod_namespace, "ml");
  EXPECT_EQ(who.pod_name, "train-0");
  EXPECT_EQ(who.pod_uid, "0b3d6f0e-1111-2222-3333-444455556666");
  EXPECT_EQ(who.container_name, "main");
  EXPECT_EQ(who.owner_uid, "aaaabbbb-0000-1111-2222-333344445555");
  EXPECT_EQ(who.template_hash, "6d4cf56db6");
  EXPECT_EQ(who.slot, "3");
}

TEST(DecideCreate, CrioHasOtherNames) {
  const Decision decision =
      DecideCreate("4f1c", {{"holdfast.dev/checkpoint", "true"},
                            {"io.kubernetes.cri-o.ContainerType", "container"},
                            {"io.kubernetes.container.name", "main"},
                            {"io.kubernetes.pod.name", "train-0"},
                            {"io.kubernetes.pod.namespace", "ml"},
                            {"io.kubernetes.pod.uid", "0b3d6f0e-1111-2222-3333-444455556666"}});
  EXPECT_EQ(decision.verdict, Verdict::kTakes) << decision.detail;
  EXPECT_EQ(decision.identity.pod_name, "train-0");
}

TEST(DecideCreate, OutsideOfAPod) {
  const Decision decision = DecideCreate("job.1", {{"holdfast.dev/checkpoint", "true"}});
  EXPECT_EQ(decision.verdict, Verdict::kTakes);
  EXPECT_FALSE(decision.identity.in_pod);
  EXPECT_EQ(decision.identity.id, "job.1");
}

TEST(DecideCreate, NotThePodsOwnContainer) {
  EXPECT_EQ(Create(With(InPod(), "io.kubernetes.cri.container-type", "sandbox")), Verdict::kSandbox);
  EXPECT_EQ(Create(With(InPod(), "io.kubernetes.cri.container-type", "something new")), Verdict::kSandbox);
}

TEST(DecideCreate, ContainersByName) {
  const std::string key = "holdfast.dev/containers";
  for (const char* list : {"main", "other,main", "main other", " other , main ", "a\tmain\n"}) {
    EXPECT_EQ(Create(With(InPod(), key, list)), Verdict::kTakes) << list;
  }
  for (const char* list : {"", "mai", "main2", "other", "mainother", "ma in", ","}) {
    EXPECT_EQ(Create(With(InPod(), key, list)), Verdict::kNotNamed) << list;
  }
}

TEST(DecideCreate, WhatIsNoNameIsRefused) {
  const std::string long_name(64, 'a');
  for (const auto& [key, valid] : Annotations{{"io.kubernetes.cri.container-name", ""},
                                              {"io.kubernetes.cri.sandbox-name", ""},
                                              {"io.kubernetes.cri.sandbox-namespace", ""},
                                              {"io.kubernetes.cri.sandbox-uid", ""},
                                              {"holdfast.dev/owner-uid", ""},
                                              {"holdfast.dev/template-hash", ""},
                                              {"holdfast.dev/slot", ""}}) {
    for (const std::string& bad :
         {std::string(".."), std::string("../x"), std::string("a/b"), std::string("a b"), std::string("-a"),
          std::string("."), std::string("a\0b", 3), std::string("a\nb"), std::string("é"),
          std::string("$(x)"), std::string(300, 'a')}) {
      const Decision decision = DecideCreate("4f1c", With(InPod(), key, bad));
      EXPECT_EQ(decision.verdict, Verdict::kBadIdentity) << key << "=" << bad;
      EXPECT_THAT(decision.detail, HasSubstr(key));
    }
  }
  EXPECT_EQ(Create(With(InPod(), "io.kubernetes.cri.sandbox-name", "a..b")), Verdict::kBadIdentity);
  EXPECT_EQ(Create(With(InPod(), "io.kubernetes.cri.sandbox-name", "web.example.org")), Verdict::kTakes);
  EXPECT_EQ(Create(With(InPod(), "io.kubernetes.cri.sandbox-namespace", "Upper")), Verdict::kBadIdentity);
  for (const char* key : {"io.kubernetes.cri.container-name", "io.kubernetes.cri.sandbox-name",
                          "io.kubernetes.cri.sandbox-namespace", "io.kubernetes.cri.sandbox-uid"}) {
    EXPECT_EQ(Create(Without(InPod(), key)), Verdict::kBadIdentity) << key;
  }
  for (const std::string& id :
       {std::string(), std::string(".."), std::string("a/b"), std::string(256, 'a')}) {
    EXPECT_EQ(Create(InPod(), id), Verdict::kBadIdentity) << id;
  }
}

TEST(DecideKill, OnlyTheSignalThatAsksForTheEnd) {
  EXPECT_EQ(DecideKill("4f1c", InPod(), SIGTERM, false).verdict, Verdict::kTakes);
  EXPECT_EQ(DecideKill("4f1c", InPod(), SIGKILL, false).verdict, Verdict::kOtherSignal);
  EXPECT_EQ(DecideKill("4f1c", InPod(), 0, false).verdict, Verdict::kOtherSignal);
  EXPECT_EQ(DecideKill("4f1c", InPod(), SIGTERM, true).verdict, Verdict::kAllProcesses);
  EXPECT_EQ(DecideKill("4f1c", {}, SIGTERM, false).verdict, Verdict::kNotOptedIn);
  const Annotations with_quit = With(InPod(), "org.opencontainers.image.stopSignal", "SIGQUIT");
  EXPECT_EQ(DecideKill("4f1c", with_quit, SIGQUIT, false).verdict, Verdict::kTakes);
  EXPECT_EQ(DecideKill("4f1c", with_quit, SIGTERM, false).verdict, Verdict::kOtherSignal);
  const Annotations with_garbage = With(InPod(), "org.opencontainers.image.stopSignal", "NOPE");
  EXPECT_EQ(DecideKill("4f1c", with_garbage, SIGTERM, false).verdict, Verdict::kTakes);
}

}  // namespace
}  // namespace holdfast
