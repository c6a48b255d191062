#include "pod/identity.h"

#include <gmock/gmock.h>

#include "base/limits.h"
#include "store/store.h"

namespace holdfast {
namespace {

TEST(PodIdentity, IsFiveNames) {
  const Result<PodIdentity> identity = PodIdentity::Parse("ml/0b3d/5d9c.1_a/0/main");
  ASSERT_TRUE(identity) << identity.error().message;
  EXPECT_EQ(identity->path(), "ml/0b3d/5d9c.1_a/0/main");
  EXPECT_EQ(identity->Lineage(), "ml.0b3d.5d9c.1_a.0.main");
  EXPECT_EQ(identity->LeaseDirectory("/store"), "/store/leases/ml/0b3d/5d9c.1_a/0/main");
}

TEST(PodIdentity, NothingElseIs) {
  for (const std::string& path :
       {std::string(), std::string("a/b/c/d"), std::string("a/b/c/d/e/f"), std::string("a/b//d/e"),
        std::string("a/../c/d/e"), std::string("a/./c/d/e"), std::string("/a/b/c/d"), std::string("a/b/c/d/"),
        std::string("a/b/c/d/e\n"), std::string("a/b c/c/d/e"), std::string("a/b/-c/d/e"),
        std::string("a/b/c/d/\0", 9), std::string(300, 'a') + "/b/c/d/e"}) {
    EXPECT_FALSE(PodIdentity::Parse(path)) << path;
  }
}

TEST(PodIdentity, ALongOneHasAShortLineageThatIsItsOwn) {
  const std::string start = "a/" + std::string(60, 'b') + "/" + std::string(60, 'c') + "/0/";
  const std::string lineage = PodIdentity::Parse(start + "main")->Lineage();
  EXPECT_LE(lineage.size(), limits::kLineageNameBytesMax);
  EXPECT_TRUE(ValidateLineageName(lineage));
  EXPECT_NE(lineage, PodIdentity::Parse(start + "main2")->Lineage());
  EXPECT_EQ(lineage, PodIdentity::Parse(start + "main")->Lineage());
}

}  // namespace
}  // namespace holdfast
